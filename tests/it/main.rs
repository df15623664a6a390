//! The real binary, against the real lab.

mod commands;
mod html;
mod structure;
mod tool;
