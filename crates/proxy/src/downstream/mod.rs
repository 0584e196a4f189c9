//! Towards the clients: a transport becomes exchanges.

pub(crate) mod client;
pub(crate) mod h1;
pub(crate) mod local_reply;
