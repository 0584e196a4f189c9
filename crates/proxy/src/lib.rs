//! Waiting: holds sockets and timers, moves bytes, decides nothing.

pub mod admin;
mod answer;
mod body;
mod buffer;
mod clock;
mod control;
mod discovery;
mod downstream;
mod exchange;
mod fault;
mod forward;
mod io;
mod listener;
mod mirror;
pub mod record;
mod relay;
mod routing;
pub mod server;
mod snapshot;
pub mod stats;
mod timers;
mod transport;
mod tunnel;
mod upstream;
mod view;
mod wait;
mod worker;
