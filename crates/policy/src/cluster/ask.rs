//! What the shell asks a cluster for, and what it is told: ids, questions, decisions, facts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Members;
use crate::balance;
use crate::plan::ClusterPlan;
use crate::slab::Key;
use crate::time::Moment;

/// One upstream connection, open or opening. Never used twice in the life of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One endpoint of a cluster. Never used twice in the life of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u64);

/// A place in the queue for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The worker whose reactor a connection is registered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

macro_rules! keys {
    ($($id:ident)*) => {$(
        impl Key for $id {
            fn of(raw: u64) -> Self {
                Self(raw)
            }

            fn raw(self) -> u64 {
                self.0
            }
        }
    )*};
}

keys!(ConnectionId EndpointId Ticket);

impl ConnectionId {
    /// Its place among the cluster's connections: a small number that no other open one has.
    #[must_use]
    pub fn place(self) -> usize {
        crate::slab::place(self)
    }
}

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// IP and port.
    Ip(SocketAddr),
    /// A Unix domain socket's path.
    Unix(Arc<std::path::Path>),
}

impl Address {
    /// The same number for the same address in every process.
    pub(crate) fn key(&self) -> u64 {
        match self {
            Self::Ip(address) => balance::hash([address.to_string().as_bytes()]),
            Self::Unix(path) => balance::hash([path.as_os_str().as_encoded_bytes()]),
        }
    }
}

/// What a request wants of the pool.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The endpoints to choose from.
    pub members: &'a Members,
    /// The cluster's plan in the request's snapshot.
    pub plan: &'a Arc<ClusterPlan>,
    /// Who asks: its own idle connections are preferred, then another worker's is taken over,
    /// then a new one is opened.
    pub worker: WorkerId,
    /// Whether this request could be sent again at grade `unknown`; sets the risk it may take.
    pub replay_safety: ReplaySafety,
    /// Whether an idle connection will do; a replay asks for a fresh one. Whoever may reuse one,
    /// avoids nobody and has not asked before is at the first attempt, which is what the retry budget counts.
    pub reuse: Reuse,
    /// Endpoints that already failed this exchange: chosen only if there is no other.
    pub avoid: &'a [EndpointId],
    /// Nobody waits for the answer any longer than until then: it is not waited for a connection
    /// any longer either.
    pub deadline: Moment,
    /// What consistent hashing goes by (`balance::key`); without it a request goes by chance.
    pub hash: Option<u64>,
    /// The same attempt has asked before, and the connection that it got was found closed.
    pub asked_before: bool,
}

impl<'a> Ask<'a> {
    /// A request that bears being sent again, of no deadline and no key, that nothing has failed.
    #[must_use]
    pub fn new(members: &'a Members, plan: &'a Arc<ClusterPlan>, worker: WorkerId) -> Self {
        Self {
            members,
            plan,
            worker,
            replay_safety: ReplaySafety::Safe,
            reuse: Reuse::Allow,
            avoid: &[],
            deadline: Moment::NEVER,
            hash: None,
            asked_before: false,
        }
    }

    pub(super) fn is_first(&self) -> bool {
        self.reuse == Reuse::Allow && self.avoid.is_empty() && !self.asked_before
    }
}

/// Whether a request could be sent again although it may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaySafety {
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
    /// The head's last bytes are held back until the endpoint can have said that it has closed: an
    /// incomplete head cannot be dispatched, so a close seen meanwhile is proof.
    TwoStep,
}

/// How long a two-step write holds the head's end back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// A close that was on its way when the first part arrived is here after so long.
    pub patience: Duration,
    /// The round trip to whoever accepted the connection, as opening connections took. Unlike the
    /// connection's own estimate it does not contain the peer's delays in acknowledging.
    pub round_trip: Duration,
    /// Whether acknowledgements are the endpoint's own, so that one of the first part says as much as
    /// the patience. They are not, if something between accepts connections for it.
    pub endpoint_acknowledges: bool,
    /// Whether an acknowledgement is waited for beyond the patience, because its absence would tell of a
    /// forgotten flow, or because bytes before it would answer nothing. A peer may delay it (RFC 9293
    /// 3.8.6.3: by up to half a second; Linux: 40 ms).
    pub awaits_acknowledgement: bool,
}

impl Hold {
    /// How long an acknowledgement is waited for where its absence tells nothing: an RST of a connection that is gone
    /// comes a round trip after the first part, and is noticed late on a busy machine.
    #[must_use]
    pub fn answered_within(&self) -> Duration {
        self.patience + NOTICED_WITHIN
    }

    /// Within what time something that was sent is acknowledged by a peer that still knows of the
    /// connection: TCP has repeated it twice by then.
    #[must_use]
    pub fn heard_within(&self) -> Duration {
        HEARD_WITHIN + self.round_trip
    }
}

/// See [`Hold::answered_within`].
const NOTICED_WITHIN: Duration = Duration::from_millis(5);

/// See [`Hold::heard_within`]. With the connection that takes the place of the dead one, and the answer on
/// it, a client waits for a second and three round trips at most.
const HEARD_WITHIN: Duration = Duration::from_millis(900);

/// A checkout's decision.
#[derive(Debug, PartialEq)]
pub enum Checkout {
    /// Use this idle connection. The shell looks at the socket first and says
    /// [`Cluster::stale`](super::Cluster::found_dead) if it is closed, then asks again.
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
    /// Wait: [`Cluster::granted`](super::Cluster::granted) will name this ticket.
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
    /// The worker whose reactor it is registered with; if not the asking one's, it is taken over.
    pub worker: WorkerId,
    /// How to write the request.
    pub writing: Writing,
    /// How to write in two steps, if so.
    pub hold: Hold,
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

impl ConnectionFacts {
    /// Whether the connection is looked at just before the first write, behind all that was done since its
    /// checkout: an endpoint that half-closed meanwhile would acknowledge a request that it then throws
    /// away, which leaves no proof. No timer closes younger ones, and they are all that a busy pool uses,
    /// so that no request under load costs a system call more.
    #[must_use]
    pub fn deserve_a_look(&self) -> bool {
        self.idle_age >= LOOK_AGE
    }
}

/// No keep-alive timer is shorter than this.
const LOOK_AGE: Duration = Duration::from_millis(10);

/// Why a checkout was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no endpoint (`UH`, "no healthy upstream").
    NoEndpoint,
    /// Too many requests are in flight (`UO`).
    Requests,
    /// No connection is free, and too many requests wait for one (`UO`).
    Overflow,
    /// No connection is free, and the queue for them does not empty: it would wait in vain (`UO`).
    Overload,
    /// No connection is free, and no request has ended for so long that it would wait in vain (`UO`).
    Stalled,
    /// It has waited for a connection as long as the queue's plan lets it, or its deadline (`UO`).
    Shed,
}

/// How an idle connection was found closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleEnd {
    /// The peer sent a FIN (or an unsolicited 408, which counts as a close).
    Fin,
    /// The peer sent an RST, with no FIN before.
    Reset,
    /// The peer sent bytes that answer no request: the connection is of no use any more.
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
    /// Its request was sent whole and is not answered yet, but a hedge of it, at another endpoint, is.
    Outrun {
        /// When the attempt began.
        begun: Moment,
    },
    /// The peer closed it while a request was on it, or made it useless.
    PeerClosed {
        /// What came first.
        how: IdleEnd,
        /// It met a request on a reused connection before any response byte, and may have been on its
        /// way when that was written.
        raced: bool,
        /// What is known of it proves that the request was not applied.
        proven: bool,
    },
    /// Nothing that the request sent was acknowledged: the flow was forgotten on its way, or the
    /// endpoint's host is dead.
    Silent,
}

/// What the shell does with a connection after a handback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// Keep the socket and watch it: it is idle now (or a probe, or followed).
    Keep,
    /// Close the socket.
    Close,
}
