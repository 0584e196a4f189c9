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

pub mod telemetry;

mod transport;

mod engine;
