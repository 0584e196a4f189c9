//! The clients of one worker: their idle connections and counts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::count::ConnectionCounts;
use super::handshake::Handshakes;
use super::idle::IdleConnections;
use super::overflow::Refusals;
use crate::worker::context::Worker;

/// What a worker holds of all its clients.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) worker: Rc<Worker>,
    pub(crate) idle: IdleConnections,
    /// TLS handshakes that are under way.
    pub(crate) handshakes: Handshakes,
    /// Client connections of this worker.
    pub(crate) connections: Cell<usize>,
    /// Client connections of all workers.
    pub(crate) connections_everywhere: Arc<ConnectionCounts>,
    /// As many of them as the descriptor limit allows.
    pub(crate) connections_max: usize,
    /// Clients that were refused for that.
    pub(crate) refusals: RefCell<Refusals>,
}

impl Clients {
    /// None yet, of at most `most` over all workers, whose unfinished heads may take `begun_heads_max` bytes.
    pub(crate) fn new(
        worker: Rc<Worker>,
        everywhere: Arc<ConnectionCounts>,
        most: usize,
        begun_heads_max: usize,
    ) -> Rc<Self> {
        let clients = Rc::new(Self {
            worker,
            idle: IdleConnections::new(begun_heads_max),
            handshakes: Handshakes::default(),
            connections: Cell::new(0),
            connections_everywhere: everywhere,
            connections_max: most,
            refusals: RefCell::default(),
        });
        clients.idle.open(&clients);
        clients
    }
}
