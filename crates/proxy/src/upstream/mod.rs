//! Towards the endpoints: ids to sockets, dialling, speaking.

pub(crate) mod attempt;
pub(crate) mod connect;
pub(crate) mod connection;
mod decision;
mod events;
pub(crate) mod lease;
mod permit;
pub(crate) mod shared;
