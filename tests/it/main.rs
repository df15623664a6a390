//! The real binary, against the real lab.

mod commands;
mod journey;
mod lab;
mod structure;
mod tool;
