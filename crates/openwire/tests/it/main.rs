//! The codec against bytes that ActiveMQ's own marshallers wrote, and against bytes that nobody wrote.
#![allow(clippy::unwrap_used, missing_docs)]

mod golden;
mod handshake;
mod properties;
