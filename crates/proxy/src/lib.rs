//! Waiting: holds sockets and timers, moves bytes, decides nothing.

pub mod admin;
mod answer;
mod body;
mod buffer;
mod clock;
mod control;
mod discovery;
mod downstream;
mod engine;
mod exchange;
mod fault;
mod forward;
mod io;
mod listener;
mod mirror;
pub mod record;
mod relay;
mod reply;
mod routing;
pub mod server;
#[cfg(feature = "sim")]
pub mod sim;
mod snapshot;
mod splice;
pub mod stats;
mod transport;
mod tried;
mod tunnel;
mod upstream;
mod view;
mod wait;
mod worker;
