//! The two checks against real RabbitMQ, MariaDB and Redis and the SQS double, with consumers as processes of their own.
//!
//! The servers are started once and shared ([`lab`]); every test has queues, consumers and a run id of its own ([`bench`]),
//! so that tests run at the same time. What a run leaves on the servers is looked at on the servers, not asked of it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests own their processes, clock and environment")]

mod bench;
mod cancelled;
mod cannot_tell;
mod consumer;
mod judged;
mod lab;
mod odd;
mod rabbitmq;
mod sqs;
mod task;
