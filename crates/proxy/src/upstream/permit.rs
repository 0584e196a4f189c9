//! What a checkout holds of a cluster, and gives back whatever happens: a connection's place, a place in the
//! queue.

use std::rc::Rc;

use policy::cluster::{ConnectionId, Handback, Ticket};

use crate::cluster::ClusterHandle;
use crate::worker::context::Worker;

/// A connection's place in its cluster's accounts: whatever happens, it is handed back once.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    pub(super) handle: &'a ClusterHandle,
    pub(super) worker: &'a Rc<Worker>,
    pub(super) connection: ConnectionId,
    pub(super) held: bool,
}

impl Permit<'_> {
    pub(super) fn hand_back(&mut self, how: Handback) {
        if std::mem::take(&mut self.held) {
            let now = self.worker.clock.now();
            let shared = &self.handle.shared;
            shared.with(|s| s.cluster.hand_back(self.connection, how, self.worker.id, now));
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.hand_back(Handback::Closed);
    }
}

/// A place in the queue; leaving it gives the place up.
pub(super) struct Waiting<'a> {
    pub(super) handle: &'a ClusterHandle,
    pub(super) worker: &'a Worker,
    pub(super) ticket: Option<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.handle.shared.with(|state| {
                state.waiters.remove(&ticket);
                state.cluster.cancel(ticket, self.worker.clock.now());
            });
        }
    }
}
