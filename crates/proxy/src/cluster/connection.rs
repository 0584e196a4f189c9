//! One upstream connection: its socket, and what stays with it from request to request.

use std::sync::Arc;
use std::time::Duration;

use policy::cluster::{Address, ConnectionFacts, ConnectionId, EndpointId, Hold, ReplaySafety, Writing};

use super::Watch;
use crate::transport::Transport;
use crate::transport::buffer::ReadBuffer;

/// An upstream connection. It lives in one place from its opening to its end, and goes from lease
/// to the parked ones and back as a pointer.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket.
    pub(crate) transport: Transport,
    /// What was received and not consumed.
    pub(crate) input: ReadBuffer,
    pub(crate) id: ConnectionId,
    /// Where it leads.
    pub(crate) endpoint: EndpointId,
    /// Its endpoint's address, as the log writes it.
    pub(crate) name: Box<str>,
    /// What wakes its worker's watcher while it is idle; `None` until it is first idle there.
    pub(crate) watch: Option<Arc<Watch>>,
    /// Bytes written on the connection before this attempt.
    pub(crate) written_before: u64,
    pub(crate) received_before: u64,
    /// How to write the request.
    pub(crate) writing: Writing,
    /// How to write in two steps, if so.
    pub(crate) hold: Hold,
    /// Whether the request could be sent again although it may have been applied.
    pub(crate) replay_safety: ReplaySafety,
    /// It died as idle connections do: its close may have been on its way when the request was written.
    pub(crate) raced: bool,
    /// What is known of the connection.
    pub(crate) facts: ConnectionFacts,
    /// Whether it was opened for this attempt.
    pub(crate) fresh: bool,
    /// Idle connections that a look found closed before this one was given.
    pub(crate) stale: u32,
    /// Its response began before all of the request had been acknowledged: it may not be the request's, whose own would
    /// be taken for the next one's. So the connection is not used again.
    pub(crate) early: bool,
    /// How long opening it took, if it is fresh.
    pub(crate) connect_time: Option<Duration>,
}

/// An address as the log writes it.
pub(crate) fn name(address: &Address) -> Box<str> {
    match address {
        Address::Ip(address) => address.to_string().into(),
        Address::Unix(path) => path.display().to_string().into(),
    }
}
