//! A checkout's decision carried out: one connection, for one attempt.
//!
//! Dropped means closed; reuse is earned by [`Lease::recycle`].

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use policy::cluster::{
    Address, Ask, Checkout, ConnectionFacts, ConnectionId, EndpointId, Handback, Parked as Verdict, Refusal,
    Resend, Reuse, Ticket, Writing,
};

use super::connect::{ConnectError, connect};
use super::shared::{ClusterHandle, Parked, SharedCluster, Watch, idle_end, watch};
use crate::body::Sender;
use crate::buffer::ReadBuffer;
use crate::transport::Transport;
use crate::wait::{First, first};
use crate::worker::Worker;

/// One upstream connection, held for one attempt.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The socket.
    pub(crate) transport: Transport,
    /// What was received and not consumed.
    pub(crate) input: ReadBuffer,
    /// Bytes written on the connection before this attempt.
    pub(crate) written_before: u64,
    received_before: u64,
    /// How to write the request.
    pub(crate) writing: Writing,
    /// The endpoint's round trip.
    pub(crate) round_trip: std::time::Duration,
    /// What is known of the connection.
    pub(crate) facts: ConnectionFacts,
    /// Whether it was opened for this attempt.
    pub(crate) fresh: bool,
    /// Idle connections that a look found closed before this one was given.
    pub(crate) found_dead: u32,
    /// How long opening it took, if it is fresh.
    pub(crate) connect_time: Option<std::time::Duration>,
    /// Where it leads.
    pub(crate) endpoint: EndpointId,
    /// … in figures.
    pub(crate) address: Address,
    watch: Option<Arc<Watch>>,
    permit: Permit,
}

/// What is asked for, apart from what the cluster knows by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want<'a> {
    pub(crate) resend: Resend,
    pub(crate) reuse: Reuse,
    pub(crate) avoid: &'a [EndpointId],
}

/// Why there is no lease.
#[derive(Debug)]
pub(crate) enum NoLease {
    /// The cluster refused.
    Refused(Refusal),
    /// Whoever asked left while waiting for a place.
    Left,
    /// The endpoint could not be reached.
    Connect {
        endpoint: EndpointId,
        address: Address,
        error: ConnectError,
    },
}

/// A connection's place in its cluster's books: whatever happens, it is handed back once.
#[derive(Debug)]
struct Permit {
    shared: Arc<SharedCluster>,
    worker: Rc<Worker>,
    connection: ConnectionId,
    held: bool,
}

impl Lease {
    /// Finds a connection: an idle one that the cluster allows and that a look finds open, or a
    /// new one, after waiting for a place if need be; not longer than until `left` is ready.
    pub(crate) async fn check_out(
        worker: &Rc<Worker>,
        handle: &ClusterHandle,
        want: Want<'_>,
        left: impl Future<Output = ()>,
    ) -> Result<Self, NoLease> {
        let mut left = std::pin::pin!(left);
        let ask = Ask {
            members: &handle.members,
            plan: &handle.plan,
            worker: worker.id,
            resend: want.resend,
            reuse: want.reuse,
            avoid: want.avoid,
            ..Ask::new(&handle.members, &handle.plan, worker.id)
        };
        let mut found_dead = 0;
        loop {
            let (mut checkout, mut parked) = handle.shared.with(|state| {
                let checkout =
                    state
                        .cluster
                        .checkout(&ask, worker.clock.now(), &mut worker.dice.borrow_mut());
                let parked = take_parked(&mut state.parked, &checkout);
                (checkout, parked)
            });
            if let Checkout::Queue(ticket) = checkout {
                let turn = wait(worker, &handle.shared, &ask, ticket);
                (checkout, parked) = match first(turn, left.as_mut()).await {
                    First::A(claimed) => claimed,
                    First::B(()) => return Err(NoLease::Left),
                };
            }
            match checkout {
                Checkout::Reuse(reused) => {
                    let permit = Permit::new(worker, &handle.shared, reused.connection);
                    let parked = parked.expect("an idle connection has a socket");
                    match Self::reused(permit, reused, parked) {
                        Some(lease) => return Ok(Self { found_dead, ..lease }),
                        None => found_dead += 1,
                    }
                }
                Checkout::Open {
                    connection,
                    endpoint,
                    address,
                } => {
                    let permit = Permit::new(worker, &handle.shared, connection);
                    let lease = Self::opened(permit, handle, endpoint, address).await?;
                    return Ok(Self { found_dead, ..lease });
                }
                Checkout::Refuse(refusal) => return Err(NoLease::Refused(refusal)),
                Checkout::Queue(_) => unreachable!("a claimed ticket is never queued again"),
            }
        }
    }

    /// An idle connection, if a look finds it open.
    fn reused(mut permit: Permit, reused: policy::cluster::Reused, parked: Parked) -> Option<Self> {
        let worker = permit.worker.clone();
        if let Some(end) = idle_end(&parked.transport) {
            permit.held = false;
            let now = worker.clock.now();
            permit
                .shared
                .with(|state| state.cluster.found_dead(reused.connection, end, now));
            return None;
        }
        let own = reused.worker == worker.id;
        let transport = if own {
            parked.transport
        } else {
            // An error here means that our reactor takes no more sockets: dropping closes it.
            parked.transport.take_over().ok()?
        };
        Some(Self {
            written_before: transport.sent(),
            received_before: transport.received(),
            transport,
            input: worker.buffers.read_buffer(),
            writing: reused.writing,
            round_trip: reused.round_trip.unwrap_or_default(),
            facts: reused.facts,
            fresh: false,
            found_dead: 0,
            connect_time: None,
            endpoint: reused.endpoint,
            address: reused.address,
            watch: own.then_some(parked.watch),
            permit,
        })
    }

    async fn opened(
        mut permit: Permit,
        handle: &ClusterHandle,
        endpoint: EndpointId,
        address: Address,
    ) -> Result<Self, NoLease> {
        let worker = permit.worker.clone();
        let begun = worker.clock.now();
        let dialled = connect(&worker, &address, &handle.plan).await;
        let now = worker.clock.now();
        let transport = match dialled {
            Ok(transport) => transport,
            Err(error) => {
                permit.held = false;
                let timed_out = matches!(error, ConnectError::TimedOut(_));
                permit
                    .shared
                    .with(|s| s.cluster.connect_failed(permit.connection, timed_out, now));
                return Err(NoLease::Connect {
                    endpoint,
                    address,
                    error,
                });
            }
        };
        let round_trip = sys::tcp_facts(&transport).map(|facts| facts.round_trip);
        permit
            .shared
            .with(|state| state.cluster.connected(permit.connection, round_trip, now));
        Ok(Self {
            transport,
            input: worker.buffers.read_buffer(),
            written_before: 0,
            received_before: 0,
            writing: Writing::Direct,
            round_trip: round_trip.unwrap_or_default(),
            facts: ConnectionFacts::default(),
            fresh: true,
            found_dead: 0,
            connect_time: Some(now.since(begun)),
            endpoint,
            address,
            watch: None,
            permit,
        })
    }

    /// The sending half, which counts.
    fn sender(&self) -> Sender<'_> {
        Sender {
            transport: &self.transport,
            written_before: self.written_before,
        }
    }

    /// Bytes that this attempt wrote.
    pub(crate) fn written(&self) -> u64 {
        self.sender().written()
    }

    /// Bytes of this attempt that the peer has acknowledged; `None` where nobody can tell.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        self.sender().acknowledged()
    }

    /// The response was read to its end: the connection may be used again.
    pub(crate) fn recycle(self, hint: Option<std::time::Duration>) {
        let (sent, received) = self.carried();
        let Self {
            transport,
            input,
            watch: watcher,
            mut permit,
            ..
        } = self;
        assert!(
            input.is_empty(),
            "a connection with surplus bytes is never used again"
        );
        permit.held = false;
        let (worker, connection) = (permit.worker.clone(), permit.connection);
        let watcher = watcher.unwrap_or_else(|| {
            let cluster = Arc::downgrade(&permit.shared);
            Arc::new(Watch {
                cluster,
                connection,
                queue: worker.watch_queue.clone(),
            })
        });
        let handback = Handback::Reusable {
            hint,
            round_trip: None,
        };
        let now = worker.clock.now();
        permit.shared.with(|state| {
            state.cluster.counters.cx_tx_bytes_total += sent;
            state.cluster.counters.cx_rx_bytes_total += received;
            if state.cluster.hand_back(connection, handback, worker.id, now) == Verdict::Keep {
                watch(&transport, &watcher);
                state.parked.insert(
                    connection,
                    Parked {
                        transport,
                        watch: watcher,
                    },
                );
            }
        });
    }

    /// The peer closed the connection under the request.
    pub(crate) fn peer_closed(self, reset: bool, raced: bool) {
        self.end(Handback::PeerClosed { reset, raced });
    }

    /// We close the connection.
    pub(crate) fn close(self) {
        self.end(Handback::Closed);
    }

    fn end(mut self, how: Handback) {
        let (sent, received) = self.carried();
        self.permit.shared.with(|state| {
            state.cluster.counters.cx_tx_bytes_total += sent;
            state.cluster.counters.cx_rx_bytes_total += received;
        });
        self.permit.hand_back(how);
    }

    /// Bytes sent and received by this attempt.
    fn carried(&self) -> (u64, u64) {
        (self.written(), self.transport.received() - self.received_before)
    }
}

impl Permit {
    fn new(worker: &Rc<Worker>, shared: &Arc<SharedCluster>, connection: ConnectionId) -> Self {
        Self {
            shared: shared.clone(),
            worker: worker.clone(),
            connection,
            held: true,
        }
    }

    fn hand_back(&mut self, how: Handback) {
        if std::mem::take(&mut self.held) {
            let now = self.worker.clock.now();
            self.shared
                .with(|s| s.cluster.hand_back(self.connection, how, self.worker.id, now));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.hand_back(Handback::Closed);
    }
}

/// A place in the queue; leaving it gives the place up.
struct Waiting<'a> {
    shared: &'a SharedCluster,
    worker: &'a Worker,
    ticket: Option<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.with(|state| {
                state.waiters.remove(&ticket);
                state.cluster.cancel(ticket, self.worker.clock.now());
            });
        }
    }
}

async fn wait(
    worker: &Worker,
    shared: &SharedCluster,
    ask: &Ask<'_>,
    ticket: Ticket,
) -> (Checkout, Option<Parked>) {
    let mut waiting = Waiting {
        shared,
        worker,
        ticket: Some(ticket),
    };
    let claimed = std::future::poll_fn(|cx| {
        shared.with(|state| {
            let now = worker.clock.now();
            match state
                .cluster
                .claim(ticket, ask, now, &mut worker.dice.borrow_mut())
            {
                Some(checkout) => {
                    let parked = take_parked(&mut state.parked, &checkout);
                    Poll::Ready((checkout, parked))
                }
                None => {
                    state.waiters.insert(ticket, cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    })
    .await;
    waiting.ticket = None;
    claimed
}

fn take_parked(
    parked: &mut std::collections::HashMap<ConnectionId, Parked>,
    checkout: &Checkout,
) -> Option<Parked> {
    match checkout {
        Checkout::Reuse(reused) => parked.remove(&reused.connection),
        _ => None,
    }
}
