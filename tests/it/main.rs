//! The real binary, against the real lab.

mod commands;
mod html;
mod journey;
mod lab;
mod structure;
mod tool;
