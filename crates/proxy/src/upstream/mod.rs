//! Towards the endpoints: ids to sockets, dialling, speaking.

pub(crate) mod attempt;
pub(crate) mod body;
pub(crate) mod checkout;
pub(crate) mod connect;
pub(crate) mod connection;
mod decision;
mod events;
mod failure_evidence;
pub(crate) mod lease;
mod permit;
pub(crate) mod protocol_probe;
pub(crate) mod shared;
