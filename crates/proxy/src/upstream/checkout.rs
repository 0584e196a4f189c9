//! The way to a lease: the cluster is asked, and says to reuse a connection, to open one, to wait, or no.

use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use policy::cluster::{
    Address, Ask, Checkout, ConnectionFacts, ConnectionId, EndpointId, Hold, Refusal, ReplaySafety, Reuse,
    Reused, Ticket, WorkerId, Writing,
};
use policy::time::Moment;

use super::connect::{ConnectError, connect};
use super::decision::Decision;
use super::lease::Lease;
use super::permit::{Permit, Waiting};
use crate::cluster::connection::{Connection, name};
use crate::cluster::{ClusterHandle, State, idle_end};
use crate::engine;
use crate::engine::wait::{First, first};
use crate::telemetry::stats::shown;
use crate::transport::buffer::ReadBuffer;
use crate::transport::leaving::Waiter;
use crate::worker::context::Worker;

/// What is asked for, apart from what the cluster knows by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckoutTerms<'a> {
    pub(crate) replay_safety: ReplaySafety,
    pub(crate) reuse: Reuse,
    pub(crate) avoid: &'a [EndpointId],
    /// Nobody waits for the answer any longer than until then.
    pub(crate) deadline: Moment,
    /// What consistent hashing goes by.
    pub(crate) hash: Option<u64>,
}

/// What the cluster said: a lease at once, or what is to be done for one.
#[derive(Debug)]
pub(crate) enum CheckoutResult<'a> {
    /// An idle connection.
    Lease(Lease<'a>),
    /// One is to be opened, or waited for.
    Pending(PendingCheckout),
    /// No.
    Refused(Refusal),
}

/// What is to be done for a lease.
#[derive(Debug)]
pub(crate) enum PendingCheckout {
    /// A connection is to be opened.
    Connect(Box<Connect>),
    /// A place is to be waited for.
    Queue(Ticket),
}

/// A connection to be opened.
#[derive(Debug)]
pub(crate) struct Connect {
    connection: ConnectionId,
    endpoint: EndpointId,
    address: Address,
}

/// Why there is no lease.
#[derive(Debug)]
pub(crate) enum NoLease {
    /// The cluster refused.
    Refused(Refusal),
    /// Whoever asked left while waiting for a place.
    Left,
    /// The endpoint could not be reached.
    Connect(Unreached),
}

/// An endpoint that no connection could be opened to.
#[derive(Debug)]
pub(crate) struct Unreached {
    pub(crate) endpoint: EndpointId,
    pub(crate) address: Address,
    pub(crate) error: ConnectError,
}

/// Whoever asks: a worker, for one request.
#[derive(Clone, Copy)]
pub(crate) struct CheckoutRequest<'a, 'b> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) handle: &'a ClusterHandle,
    pub(crate) terms: CheckoutTerms<'b>,
}

impl<'a> CheckoutRequest<'a, '_> {
    /// Asks the cluster; idle connections that a look finds closed are given back, and it is asked
    /// again.
    pub(crate) fn ask(&self) -> CheckoutResult<'a> {
        self.take(self.check_out(false))
    }

    fn check_out(&self, asked_before: bool) -> (Checkout, Option<Box<Connection>>) {
        let question = Ask {
            asked_before,
            ..self.question()
        };
        let now = self.worker.clock.now();
        let found = self.handle.shared.with(|state| {
            let dice = &mut self.worker.dice.borrow_mut();
            let checkout = state.cluster.checkout(&question, now, dice);
            with_socket(state, checkout)
        });
        tracing::debug!(
            "cluster {}: checkout gave {}",
            self.handle.shared.name,
            Decision(&found.0)
        );
        found
    }

    /// Does what is to be done for a lease, as long as whoever needs it waits.
    pub(crate) async fn carry_out(
        &self,
        mut pending: PendingCheckout,
        waiter: Waiter<'_>,
    ) -> Result<Lease<'a>, NoLease> {
        loop {
            let ticket = match pending {
                // In a box, so that requests which wait in a queue hold no room for it.
                PendingCheckout::Connect(target) => {
                    let opened = Box::pin(self.open(target));
                    return match first(opened, Box::pin(waiter.leaves_opening())).await {
                        First::A(opened) => opened,
                        First::B(()) => Err(NoLease::Left),
                    };
                }
                PendingCheckout::Queue(ticket) => ticket,
            };
            match first(pin!(self.wait(ticket)), pin!(waiter.leaves_queue())).await {
                First::A(CheckoutResult::Lease(lease)) => return Ok(lease),
                First::A(CheckoutResult::Refused(refusal)) => return Err(NoLease::Refused(refusal)),
                First::A(CheckoutResult::Pending(next)) => pending = next,
                First::B(()) => return Err(NoLease::Left),
            }
        }
    }

    fn question(&self) -> Ask<'_> {
        Ask {
            replay_safety: self.terms.replay_safety,
            reuse: self.terms.reuse,
            avoid: self.terms.avoid,
            deadline: self.terms.deadline,
            hash: self.terms.hash,
            ..Ask::new(&self.handle.members, &self.handle.plan, self.worker.id)
        }
    }

    fn take(&self, mut found: (Checkout, Option<Box<Connection>>)) -> CheckoutResult<'a> {
        let mut stale = 0;
        loop {
            let reused = match found.0 {
                Checkout::Reuse(reused) => reused,
                Checkout::Refuse(refusal) => return CheckoutResult::Refused(refusal),
                Checkout::Queue(ticket) => {
                    return CheckoutResult::Pending(PendingCheckout::Queue(ticket));
                }
                Checkout::Open {
                    connection,
                    endpoint,
                    address,
                } => {
                    let target = Connect {
                        connection,
                        endpoint,
                        address,
                    };
                    return CheckoutResult::Pending(PendingCheckout::Connect(target.into()));
                }
            };
            let connection = found.1.expect("an idle connection has a socket");
            if let Some(lease) = self.reuse(reused, connection, stale) {
                return CheckoutResult::Lease(lease);
            }
            stale += 1;
            found = self.check_out(true);
        }
    }

    /// An idle connection, if a look finds it open.
    fn reuse(&self, reused: Reused, mut connection: Box<Connection>, stale: u32) -> Option<Lease<'a>> {
        let mut permit = self.permit(reused.connection);
        if self.must_look(&connection, reused.worker)
            && let Some(end) = idle_end(&connection.transport)
        {
            permit.held = false;
            let now = self.worker.clock.now();
            let shared = &self.handle.shared;
            tracing::debug!(
                "cluster {}: the idle connection had ended ({end:?}); asking again",
                shared.name
            );
            shared.with(|state| state.cluster.on_stale(reused.connection, end, now));
            return None;
        }
        if reused.worker != self.worker.id {
            // An error here means that our engine takes no more sockets: dropping closes it.
            connection.transport.take_over().ok()?;
            connection.watch = None;
        }
        connection.written_before = connection.transport.begin_attempt();
        connection.received_before = connection.transport.received();
        connection.writing = reused.writing;
        connection.hold = reused.hold;
        connection.replay_safety = self.terms.replay_safety;
        connection.raced = false;
        connection.facts = reused.facts;
        connection.fresh = false;
        connection.stale = stale;
        connection.connect_time = None;
        Some(Lease {
            connection: Some(connection),
            permit,
        })
    }

    /// The engine has seen any end that came before its last turn, and the connection was taken out
    /// then. A look would show what has come within this turn: not worth a system call for each
    /// request, as the write that meets such an end leaves the same proof.
    fn must_look(&self, connection: &Connection, at: WorkerId) -> bool {
        at != self.worker.id || !connection.transport.is_quiet()
    }

    async fn open(&self, target: Box<Connect>) -> Result<Lease<'a>, NoLease> {
        let Connect {
            connection: id,
            endpoint,
            address,
        } = *target;
        let mut permit = self.permit(id);
        let (worker, shared) = (self.worker, &self.handle.shared);
        let begun = worker.clock.now();
        let dialled = connect(worker, &address, &self.handle.plan, self.handle.tls.as_deref()).await;
        let now = worker.clock.now();
        let transport = match dialled {
            Ok(transport) => transport,
            Err(error) => {
                permit.held = false;
                let timed_out = matches!(error, ConnectError::TimedOut);
                tracing::debug!(
                    "cluster {}: no connection to {}: {}",
                    shared.name,
                    shown(&address),
                    error.words()
                );
                shared.with(|s| {
                    s.cluster.connect_error(endpoint, error.words());
                    s.cluster.connect_failed(id, timed_out, now);
                });
                return Err(NoLease::Connect(Unreached {
                    endpoint,
                    address,
                    error,
                }));
            }
        };
        tracing::debug!(
            "cluster {}: connected to {} within {:?}",
            shared.name,
            shown(&address),
            now.since(begun)
        );
        let round_trip = transport.tcp_facts().map(|facts| facts.round_trip);
        shared.with(|state| state.cluster.connected(id, round_trip, now));
        let transport_begins = transport.begin_attempt();
        let connection = Box::new(Connection {
            transport,
            input: ReadBuffer::default(),
            id,
            endpoint,
            name: name(&address),
            watch: None,
            written_before: transport_begins,
            received_before: 0,
            writing: Writing::Direct,
            hold: Hold::default(),
            replay_safety: self.terms.replay_safety,
            raced: false,
            facts: ConnectionFacts::default(),
            fresh: true,
            early: false,
            stale: 0,
            connect_time: Some(now.since(begun)),
        });
        Ok(Lease {
            connection: Some(connection),
            permit,
        })
    }

    fn permit(&self, connection: ConnectionId) -> Permit<'a> {
        Permit {
            handle: self.handle,
            worker: self.worker,
            connection,
            held: true,
        }
    }

    async fn wait(&self, ticket: Ticket) -> CheckoutResult<'a> {
        let shared = &self.handle.shared;
        let mut waiting = Waiting {
            handle: self.handle,
            worker: self.worker,
            ticket: Some(ticket),
        };
        let alarm = engine::alarm();
        let _awaited = engine::Awaited::begin();
        let claimed = std::future::poll_fn(|cx| {
            // Before the lock: a freeze that this shows is told first.
            let now = self.worker.clock.now();
            shared.with(|state| {
                let dice = &mut self.worker.dice.borrow_mut();
                match state.cluster.claim(ticket, &self.question(), now, dice) {
                    Some(checkout) => {
                        // Whoever ends its wait itself was not called.
                        state.waiters.remove(&ticket);
                        Poll::Ready(with_socket(state, checkout))
                    }
                    None => {
                        state.waiters.insert(ticket, cx.waker().clone());
                        alarm.set(state.cluster.waits_until(ticket));
                        // It has not rung since: this only says whom to wake.
                        let _ = alarm.poll_due(cx);
                        Poll::Pending
                    }
                }
            })
        })
        .await;
        waiting.ticket = None;
        self.take(claimed)
    }
}

/// A decision with the socket of the connection that it names.
fn with_socket(state: &mut State, checkout: Checkout) -> (Checkout, Option<Box<Connection>>) {
    let socket = match &checkout {
        Checkout::Reuse(reused) => state.parked.take(reused.connection),
        _ => None,
    };
    (checkout, socket)
}
