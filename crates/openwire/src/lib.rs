//! A wire codec for OpenWire, the protocol of ActiveMQ Classic, without any input or output of its own.
//!
//! It speaks as much of the protocol as a client needs to be let in and to leave politely: the negotiation of the wire
//! format, logging in, keeping alive, logging out; everything in *loose* encoding with the cache off, which every broker
//! accepts when the client asks for it. Whatever else arrives is recognised as a command of another type and skipped.
//!
//! The pieces from the bottom up:
//!
//! - [`Frames`] cuts a stream of bytes into frames. A frame is never larger than [`FRAME_BYTES_MAX`].
//! - [`Command`] is what a frame says; [`Command::decode`] and [`Command::encode`] are exact inverses for every command
//!   that this crate knows. Decoding never panics and allocates no more than the frame is long.
//! - [`Handshake`] is the conversation of a client that logs in: feed it the bytes that arrived, send what it returns.
//!
//! ```
//! use preflight_openwire::{Handshake, Login, Step};
//!
//! let login = Login { connection_id: "ID:probe-1".into(), client_id: "probe-1".into(), user_name: None, password: None };
//! let (mut handshake, greeting) = Handshake::start(login);
//! assert_eq!(&greeting[5..13], b"ActiveMQ");
//! assert!(matches!(handshake.feed(&[]), Ok(Step::Wait)));
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod command;
mod frame;
mod handshake;
mod text;
mod wire;
mod wire_format;

pub use command::{BrokerInfo, Command, ConnectionInfo, RemoveInfo, Thrown};
pub use frame::{FRAME_BYTES_MAX, Frames};
pub use handshake::{Admitted, Handshake, HandshakeError, Login, Refused, Step};
pub use wire::WireError;
pub use wire_format::{PROTOCOL_VERSION, Property, WireFormatInfo};
