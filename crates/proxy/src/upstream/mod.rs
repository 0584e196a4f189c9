//! Towards the endpoints: ids to sockets, dialling, speaking.

pub(crate) mod attempt;
pub(crate) mod body;
pub(crate) mod checkout;
pub(crate) mod connect;
mod decision;
mod failure_evidence;
mod interim;
pub(crate) mod lease;
mod permit;
pub(crate) mod protocol_probe;
