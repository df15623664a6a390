//! Claim 1: which identity a pod really gets.
