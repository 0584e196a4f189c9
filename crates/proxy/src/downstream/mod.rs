//! The client's side: where connections wait, who serves them, what they are answered.

pub(crate) mod begun;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod connection;
pub(crate) mod count;
pub(crate) mod h1;
pub(crate) mod handshake;
pub(crate) mod idle;
pub(crate) mod listener;
pub(crate) mod overflow;
