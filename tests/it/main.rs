//! The real binary, against the real lab.

mod commands;
mod structure;
mod tool;
