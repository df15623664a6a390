//! The real binary, against the real lab.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests start programs and wait for them")]
#![allow(clippy::print_stdout, reason = "a test says why it is skipped")]

mod commands;
mod delivery;
mod doctor;
mod html;
mod init;
mod inventory;
mod journey;
mod lab;
mod levels;
mod lint;
mod manifest;
mod overwrite;
mod rights;
mod routes;
mod store;
mod structure;
mod tool;
