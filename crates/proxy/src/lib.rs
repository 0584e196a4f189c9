//! Waiting: holds sockets and timers, moves bytes, decides nothing.

pub mod server;
