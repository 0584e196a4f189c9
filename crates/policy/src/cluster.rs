//! The only door the shell knocks on: a cluster's endpoints, connections, waiters and counters.
//!
//! One lock of the shell's, one decision: endpoint, limits and pool are settled together in
//! [`Cluster::checkout`]. Pools deal in [`ConnectionId`]s; the sockets stay upstairs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::ClusterPlan;
use crate::time::{Dice, Moment};

/// One upstream connection, open or opening. Never used twice in the life of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One endpoint of a cluster. Never used twice in the life of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u32);

/// A place in the queue for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The worker whose reactor a connection is registered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// IP and port.
    Ip(SocketAddr),
    /// A Unix domain socket's path.
    Unix(std::path::PathBuf),
}

/// The endpoints of one configuration snapshot, held by the snapshot. While it lives (until
/// [`Cluster::retire`]) its endpoints stay usable, so a request ends under the configuration that
/// it started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The endpoints and their weights; weight 0 is never chosen.
    pub list: Vec<(EndpointId, u32)>,
}

/// What a request wants of the pool.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The endpoints to choose from.
    pub members: &'a Members,
    /// The cluster's plan in the request's snapshot.
    pub plan: &'a ClusterPlan,
    /// Who asks: its own idle connections are preferred, then another worker's is taken over,
    /// then a new one is opened.
    pub worker: WorkerId,
    /// Whether this request could be sent again at grade `unknown`; sets the risk it may take.
    pub resend: Resend,
    /// Whether an idle connection will do; a replay asks for a fresh one.
    pub reuse: Reuse,
    /// Endpoints that already failed this exchange: chosen only if there is no other.
    pub avoid: &'a [EndpointId],
}

/// Whether a request could be sent again although it may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// Idempotent, keyed, or its owner said so.
    Safe,
    /// Only with proof.
    NeedsProof,
}

/// Whether an idle connection may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Any that the reuse limit and the risk allow.
    Allow,
    /// Only a fresh one (a replay).
    Forbid,
}

/// How the request's first bytes are to be written on a reused connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// All at once.
    Direct,
    /// The head's last bytes are held back for about one round trip: an incomplete head cannot be
    /// dispatched, so a close seen meanwhile is proof.
    TwoStep,
}

/// A checkout's decision.
#[derive(Debug, PartialEq)]
pub enum Checkout {
    /// Use this idle connection. The shell looks at the socket first and says
    /// [`Cluster::found_dead`] if it is closed, then asks again.
    Reuse(Reused),
    /// Open a connection; its permit is already held under `connection`.
    Open {
        /// The id the new connection has from now on.
        connection: ConnectionId,
        /// Where to.
        endpoint: EndpointId,
        /// Its address.
        address: Address,
    },
    /// Wait: [`Cluster::granted`] will name this ticket.
    Queue(Ticket),
    /// No.
    Refuse(Refusal),
}

/// An idle connection that was chosen, with the facts that the log tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Reused {
    /// Which.
    pub connection: ConnectionId,
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// The endpoint's address.
    pub address: Address,
    /// The worker whose reactor it is registered with; if not the asker's, it is taken over.
    pub worker: WorkerId,
    /// How to write the request.
    pub writing: Writing,
    /// What is known of the connection.
    pub facts: ConnectionFacts,
}

/// What the log tells about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConnectionFacts {
    /// Since the last byte was received on it; zero for a fresh one.
    pub idle_age: Duration,
    /// Since it was opened.
    pub age: Duration,
    /// Requests it had carried before this one.
    pub uses: u32,
    /// The endpoint's reuse limit at checkout, and where it comes from.
    pub limit: Option<Duration>,
}

/// Why a checkout was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no endpoint (`UH`, "no healthy upstream").
    NoEndpoint,
    /// Too many requests are in flight or waiting (`UO`).
    Overflow,
}

/// How an idle connection was found closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleEnd {
    /// The peer sent a FIN (or an unsolicited 408, which counts as a close).
    Fin,
    /// The peer sent an RST, with no FIN before.
    Reset,
    /// The peer sent bytes that nobody asked for: the connection is closed, nothing is learned.
    Unsolicited,
}

/// What became of a leased connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Handback {
    /// The response was read to its end and the connection may be used again.
    Reusable {
        /// `Keep-Alive: timeout=N` of the response.
        hint: Option<Duration>,
        /// The kernel's smoothed round trip time, if it was read.
        round_trip: Option<Duration>,
    },
    /// We close it (its response said `Connection: close`, an error of ours, a cancelled request).
    Closed,
    /// The peer closed it while a request was on it. `idle_age` of the checkout tells the learner
    /// when, if the close met the request in flight (a race).
    PeerClosed {
        /// The close was an RST without a FIN.
        reset: bool,
        /// It met a request on a reused connection before any response byte.
        raced: bool,
    },
}

/// What the shell does with a connection after a handback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// Keep the socket and watch it: it is idle now (or a probe).
    Keep,
    /// Close the socket.
    Close,
}

/// Counters of a cluster, by Envoy's names (`cluster.<name>.upstream_<name>`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Envoy's and documented in docs/metrics.md")]
pub struct Counters {
    pub cx_total: u64,
    pub cx_connect_fail: u64,
    pub cx_connect_timeout: u64,
    pub cx_idle_timeout: u64,
    pub cx_max_duration_reached: u64,
    pub cx_max_requests: u64,
    pub cx_overflow: u64,
    pub cx_none_healthy: u64,
    pub cx_protocol_error: u64,
    pub cx_destroy: u64,
    pub cx_destroy_local: u64,
    pub cx_destroy_remote: u64,
    pub cx_destroy_with_active_rq: u64,
    pub cx_destroy_local_with_active_rq: u64,
    pub cx_destroy_remote_with_active_rq: u64,
    pub cx_rx_bytes_total: u64,
    pub cx_tx_bytes_total: u64,
    pub rq_total: u64,
    pub rq_completed: u64,
    pub rq_cancelled: u64,
    pub rq_pending_total: u64,
    pub rq_pending_overflow: u64,
    pub rq_pending_failure_eject: u64,
    pub rq_timeout: u64,
    pub rq_per_try_timeout: u64,
    pub rq_rx_reset: u64,
    pub rq_tx_reset: u64,
    pub rq_retry: u64,
    pub rq_retry_success: u64,
    pub rq_retry_overflow: u64,
    pub rq_retry_limit_exceeded: u64,
    /// Responses by class: index 1 is 1xx … 5 is 5xx; 0 is unused.
    pub rq_class: [u64; 6],
    /// Responses by exact status, filled as they are seen.
    pub rq_status: std::collections::BTreeMap<u16, u64>,
    // What no other proxy counts: the race.
    /// Requests that met a closing connection (found dead at checkout, or died on it).
    pub race_met: u64,
    /// … of these, avoided by looking at checkout (layer 2).
    pub race_checked: u64,
    /// … replayed with proof (layer 4), or by idempotence.
    pub race_replayed: u64,
    /// … that the client saw.
    pub race_failed: u64,
    /// Requests that the reuse limit kept away from a connection past it (layer 1).
    pub race_avoided: u64,
    /// Requests that were given a fresh connection or a two-step write for their risk (layer 3).
    pub race_priced: u64,
    /// Idle connections closed by the peer while nobody used them.
    pub idle_closed_by_peer: u64,
    /// Idle connections that were taken over from another worker.
    pub taken_over: u64,
}

/// A named set of endpoints under one plan; shared by all workers behind one lock of the shell's.
#[derive(Debug)]
pub struct Cluster {
    /// Counters for `/stats`.
    pub counters: Counters,
}

#[expect(clippy::todo, unused_variables, reason = "to be written")]
impl Cluster {
    /// A cluster without endpoints.
    #[must_use]
    pub fn new(name: Arc<str>) -> Self {
        todo!()
    }

    /// Takes the endpoints of a new snapshot in; those already known keep what was learned of
    /// them. Pair each call with one [`Cluster::retire`].
    pub fn adopt(&mut self, addresses: &[(Address, u32)], now: Moment) -> Members {
        todo!()
    }

    /// A snapshot is gone. Idle connections of endpoints that no snapshot holds any more are
    /// returned for the shell to close.
    pub fn retire(&mut self, members: &Members, now: Moment) -> Vec<ConnectionId> {
        todo!()
    }

    /// Endpoint, limits and connection for one attempt, settled together.
    pub fn checkout(&mut self, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Checkout {
        todo!()
    }

    /// The shell looked at a connection it was given and found it closed: the lease is over, a
    /// race was met and absorbed; the caller asks again.
    pub fn found_dead(&mut self, connection: ConnectionId, how: IdleEnd, now: Moment) {
        todo!()
    }

    /// A connection that [`Checkout::Open`] promised is open.
    pub fn connected(&mut self, connection: ConnectionId, round_trip: Option<Duration>, now: Moment) {
        todo!()
    }

    /// It could not be opened; its permit is free again.
    pub fn connect_failed(&mut self, connection: ConnectionId, timed_out: bool, now: Moment) {
        todo!()
    }

    /// A lease ends. `worker` is whose reactor the socket is registered with now.
    pub fn hand_back(&mut self, connection: ConnectionId, how: Handback, worker: WorkerId, now: Moment) -> Parked {
        todo!()
    }

    /// The watcher of idle connections saw one end. False if it was no longer idle (it is being
    /// leased at this moment, and the lease will find out by itself).
    pub fn idle_ended(&mut self, connection: ConnectionId, how: IdleEnd, now: Moment) -> bool {
        todo!()
    }

    /// Closes what has been idle too long, keeping at most one past-limit connection per endpoint
    /// as a probe; the shell closes the sockets.
    pub fn reap(&mut self, plan: &ClusterPlan, now: Moment) -> Vec<ConnectionId> {
        todo!()
    }

    /// When `reap` next has something to do.
    pub fn next_deadline(&self) -> Moment {
        todo!()
    }

    /// The next ticket whose turn has come; the shell wakes its waiter, which calls
    /// [`Cluster::claim`].
    pub fn granted(&mut self) -> Option<Ticket> {
        todo!()
    }

    /// What a granted ticket was given: never `Queue`. `None` if it was not granted yet.
    pub fn claim(&mut self, ticket: Ticket, ask: &Ask<'_>, now: Moment, dice: &mut Dice) -> Option<Checkout> {
        todo!()
    }

    /// The waiter left (timeout, client gone): its place, or what it was granted, is free again.
    pub fn cancel(&mut self, ticket: Ticket, now: Moment) {
        todo!()
    }
}
