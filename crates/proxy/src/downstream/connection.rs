//! One client's connection, as little of it as there is while it waits for a request.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use policy::time::Moment;

use super::begun::BegunHead;
use super::clients::Clients;
use crate::exchange::fault::Fault;
use crate::transport::Transport;
use crate::worker::context::WorkerSnapshot;

/// A client's connection. It lives in one place from its opening to its end, and goes between the idle connections and
/// request task as a pointer. Counted from its opening to its end.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The configured address that it came to.
    pub(crate) address: Rc<SocketAddr>,
    /// The count of connections there.
    at: Arc<AtomicUsize>,
    pub(crate) clients: Rc<Clients>,
    /// The last configuration that listened at its address, if the one in force does not.
    pub(crate) last: Option<Rc<WorkerSnapshot>>,
    /// What has come of its next request's head, while that is not whole.
    pub(super) begun: Option<Box<BegunHead>>,
    /// Why it carries no request: its TLS handshake came to nothing.
    pub(super) refused: Option<Box<Fault>>,
    /// Its slot among the idle connections.
    pub(crate) slot: u32,
    /// Since when it waits for a request.
    pub(crate) since: Moment,
    opened: Moment,
    counted: bool,
}

impl Connection {
    /// Whether it waits with a head that began then.
    pub(super) fn began_at(&self, heard: Moment) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.heard == heard)
    }

    /// The configuration that its next request is read under.
    pub(super) fn current(&self, clients: &Clients) -> Rc<WorkerSnapshot> {
        self.last.clone().unwrap_or_else(|| clients.worker.snapshot())
    }

    /// Takes an accepted connection in.
    pub(crate) fn open(
        clients: &Rc<Clients>,
        address: &Rc<SocketAddr>,
        at: &Arc<AtomicUsize>,
        socket: OwnedFd,
        peer: SocketAddr,
    ) -> Box<Self> {
        let transport = Transport::accepted(socket);
        clients.connections.set(clients.connections.get() + 1);
        clients.connections_everywhere.opened(at);
        clients.worker.stats.cx_opened();
        let local = if address.ip().is_unspecified() {
            let local = socket2::SockRef::from(&transport).local_addr();
            local.ok().and_then(|local| local.as_socket())
        } else {
            None
        };
        let now = clients.worker.clock.now();
        Box::new(Self {
            transport,
            peer,
            local: local.unwrap_or(**address),
            address: address.clone(),
            at: at.clone(),
            clients: clients.clone(),
            last: None,
            begun: None,
            refused: None,
            slot: clients.idle.slot(),
            since: now,
            opened: now,
            counted: true,
        })
    }

    /// Ends its being counted, before its socket is closed.
    pub(crate) fn uncount(&mut self) {
        if std::mem::take(&mut self.counted) {
            let clients = &self.clients;
            clients.connections.set(clients.connections.get() - 1);
            clients.connections_everywhere.closed(&self.at);
            clients.worker.stats.cx_closed();
            clients
                .worker
                .stats
                .cx_rx_bytes_total
                .add(self.transport.received());
            clients.worker.stats.cx_tx_bytes_total.add(self.transport.sent());
            let length = clients.worker.clock.now().since(self.opened);
            clients.worker.stats.cx_length_ms.record(length);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.uncount();
        self.clients.idle.give_back(self.slot);
    }
}
