//! The real binary, against the real lab.

mod commands;
mod delivery;
mod html;
mod structure;
mod tool;
