//! Brokers, and the lever on each: how a copy of a message is made to reach one side, and how it is seen that it did.
//!
//! A broker is one file with its settings and its lever, and one line each here and in the list of [`lever`].

pub mod lever;
mod management;
pub mod rabbitmq;
pub mod sqs;

pub use lever::{Broker, BrokerError, Depth, Lever, Outgoing, Sides, Withdrawn};
