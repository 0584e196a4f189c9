//! A checkout's decision carried out: one connection, for one attempt.
//!
//! Dropped means closed; reuse is earned by [`Lease::recycle`].

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use policy::cluster::{Cluster, Handback, IdleEnd, Parked as Verdict, ReplaySafety};
use policy::evidence::{Facts, is_farewell, raced};
use policy::plan::MalformedResponses;
use policy::time::Moment;
use wire::h1::framing::{BodyLength, keeps_alive, response_body};
use wire::h1::head::{Method, ResponseHead, Scan};

use super::permit::Permit;
use crate::cluster::connection::Connection;
use crate::cluster::{SharedCluster, Watch, watch};
use crate::upstream::body::Sender;
use crate::worker::context::Worker;

/// One upstream connection, held for one attempt.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    pub(super) connection: Option<Box<Connection>>,
    pub(super) permit: Permit<'a>,
}

impl Deref for Lease<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_deref().expect("a lease that has not ended")
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
            .as_deref_mut()
            .expect("a lease that has not ended")
    }
}

impl Lease<'_> {
    /// How its responses' heads are read.
    pub(crate) fn scan(&self) -> Scan {
        match self.permit.handle.plan.malformed_responses {
            MalformedResponses::Mend => Scan::mending(),
            MalformedResponses::Refuse => Scan::default(),
        }
    }

    /// Tells its cluster a fact.
    pub(crate) fn tell(&self, tell: impl FnOnce(&mut Cluster, Moment)) {
        let now = self.permit.worker.clock.now();
        self.permit
            .handle
            .shared
            .with(|state| tell(&mut state.cluster, now));
    }

    /// The present moment, by its worker's clock.
    pub(crate) fn now(&self) -> Moment {
        self.permit.worker.clock.now()
    }

    /// Bytes that this attempt wrote.
    pub(crate) fn written(&self) -> u64 {
        self.sender().written()
    }

    /// Bytes of this attempt that the peer has acknowledged; `None` where nobody can tell.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        self.sender().acknowledged()
    }

    /// The sending half, which counts.
    fn sender(&self) -> Sender<'_> {
        Sender {
            transport: &self.transport,
            written_before: self.written_before,
        }
    }

    /// The response was read to its end: the connection may be used again, unless that response may have been another's.
    pub(crate) fn recycle(mut self, hint: Option<Duration>) {
        if self.early {
            return self.close();
        }
        let (sent, received) = self.carried();
        assert!(
            self.input.is_empty(),
            "a connection with surplus bytes is never used again"
        );
        let mut connection = self.connection.take().expect("a lease that has not ended");
        connection.input.release();
        self.permit.held = false;
        let (worker, shared) = (self.permit.worker, &self.permit.handle.shared);
        watch_parked(&mut connection, worker, shared);
        let handback = Handback::Reusable {
            hint,
            round_trip: None,
        };
        let now = worker.clock.now();
        let closed = shared.with(|state| {
            state.cluster.counters.cx_tx_bytes_total += sent;
            state.cluster.counters.cx_rx_bytes_total += received;
            match state.cluster.hand_back(connection.id, handback, worker.id, now) {
                Verdict::Keep => {
                    state.parked.put(connection);
                    None
                }
                Verdict::Close => Some(connection),
            }
        });
        drop(closed);
    }

    /// A hedge at another endpoint has answered first. Where nothing of the answer has come, the connection
    /// may be kept, to see when it does.
    pub(crate) fn outrun(mut self, begun: Moment, sent_whole: bool) {
        let endpoint = self.endpoint;
        let (sent, received) = self.carried();
        self.tell(|cluster, now| {
            cluster.on_given_up(endpoint, begun, now);
            if received == 0 && !sent_whole {
                cluster.on_outrun(endpoint, begun, now);
            }
        });
        if received > 0 || !sent_whole {
            return self.close();
        }
        let mut connection = self.connection.take().expect("a lease that has not ended");
        connection.input.release();
        self.permit.held = false;
        let (worker, shared) = (self.permit.worker, &self.permit.handle.shared);
        watch_parked(&mut connection, worker, shared);
        let now = worker.clock.now();
        let closed = shared.with(|state| {
            state.cluster.counters.cx_tx_bytes_total += sent;
            let outrun = Handback::Outrun { begun };
            match state.cluster.hand_back(connection.id, outrun, worker.id, now) {
                Verdict::Keep => {
                    state.parked.put(connection);
                    None
                }
                Verdict::Close => Some(connection),
            }
        });
        drop(closed);
    }

    /// The peer closed the connection under the request, or made it useless.
    pub(crate) fn peer_closed(self, how: IdleEnd, proven: bool) {
        let raced = self.raced;
        self.end(Handback::PeerClosed { how, raced, proven });
    }

    /// Nothing that was sent on it was acknowledged.
    pub(crate) fn fell_silent(self) {
        self.end(Handback::Silent);
    }

    /// Within what time something of a request is acknowledged, unless the flow was forgotten while it
    /// idled: nobody forgets a fresh one.
    pub(crate) fn heard_within(&self) -> Option<Duration> {
        (!self.fresh).then_some(self.hold.heard_within())
    }

    /// Until when the kernel is asked whether what comes back was on its way before the request arrived:
    /// always on a connection that idled long enough for a look to cost nothing, since the worker may
    /// notice late what came early; else for a round trip, and as long again on longer paths.
    pub(crate) fn doubt_answers_until(&self, written: Moment) -> Moment {
        let round_trip = self.hold.round_trip;
        if self.fresh {
            return Moment::default();
        }
        if self.facts.deserve_a_look() {
            return Moment::NEVER;
        }
        written
            + round_trip
            + if round_trip >= LONG_PATH {
                round_trip
            } else {
                Duration::ZERO
            }
    }

    /// Whether what came back this soon is a farewell, if the request bears not to know.
    pub(crate) fn is_farewell(&self, response: &ResponseHead, lasted: Duration) -> bool {
        if self.fresh || response.status != 408 || self.replay_safety != ReplaySafety::Safe {
            return false;
        }
        let stays = keeps_alive(response.version, &response.fields);
        is_farewell(response.status, stays, lasted, self.hold.patience)
    }

    /// Whether a second response follows behind this one's body, all of it read already. One request has one
    /// answer, so the first of them was sent before. Not asked of busy connections.
    pub(crate) fn has_two_answers(&self, response: &ResponseHead) -> bool {
        if self.fresh || !self.facts.deserve_a_look() || self.input.is_empty() {
            return false;
        }
        // Read as for a GET: behind the head of an answer to HEAD there is no body to look behind.
        let length = match response_body(response, Method::Get) {
            Ok(BodyLength::None) => 0,
            Ok(BodyLength::Length(bytes)) => bytes,
            _ => return false,
        };
        let body_tail = usize::try_from(length)
            .ok()
            .and_then(|at| self.input.data().get(at..));
        body_tail.is_some_and(|rest| rest.starts_with(b"HTTP/1."))
    }

    /// Notes how it died, and whether that was a race.
    pub(crate) fn died(&mut self, facts: &Facts, begun: Moment) {
        let lasted = self.permit.worker.clock.now().since(begun);
        self.raced = !self.fresh && raced(facts, lasted, self.hold.patience);
    }

    /// We close the connection.
    pub(crate) fn close(self) {
        self.end(Handback::Closed);
    }

    fn end(mut self, how: Handback) {
        let (sent, received) = self.carried();
        self.permit.handle.shared.with(|state| {
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

/// Has the engine tell when something comes on a connection that is about to be parked.
pub(super) fn watch_parked(connection: &mut Connection, worker: &Worker, shared: &Arc<SharedCluster>) {
    let watcher = connection.watch.get_or_insert_with(|| {
        Arc::new(Watch {
            cluster: Arc::downgrade(shared),
            connection: connection.id,
            queue: worker.watch_queue.clone(),
        })
    });
    watch(&connection.transport, watcher);
}

/// On a path like this an answer takes long enough for one more system call not to matter.
const LONG_PATH: Duration = Duration::from_millis(1);
