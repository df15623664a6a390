//! The real binary, against the real lab.
#![allow(clippy::unwrap_used)]

mod commands;
mod delivery;
mod html;
mod journey;
mod lab;
mod structure;
mod tool;
