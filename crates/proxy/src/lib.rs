//! Waiting: holds sockets and timers, moves bytes, decides nothing.
//!
//! The folders are layers, in the order in which they stand here: each imports those below it.

#[cfg(feature = "sim")]
pub mod sim;

pub mod admin;

pub mod control;

mod worker;

mod downstream;

mod exchange;

mod upstream;

mod snapshot;

mod cluster;

pub mod telemetry;

mod transport;

mod engine;

/// How this hop calls itself in `Via` and in its own answers.
pub(crate) const NAME: &str = "evenkeel";
