//! Reuse or not: the connections of a cluster by id, and one endpoint's idle ones by age.

use std::time::Duration;

use crate::cluster::{ConnectionId, EndpointId, ReplaySafety, Ticket, WorkerId, Writing};
use crate::keepalive::{Limit, Risk};
use crate::plan::Limits;
use crate::slab::Slab;
use crate::time::Moment;

/// One connection of the cluster.
///
/// ```text
///   Opening --connected--> Leased --handed back--> Idle --past the limit--> Probe
///      |                    |  ^------checkout------'|                        |
///      |                    |  ^--claim-- Held <-----' (a waiter's turn)      |
///      '--------------------'---------> gone <--------------------------------'
///                           '--its hedge was faster--> Followed --^
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) endpoint: EndpointId,
    pub(crate) state: State,
    pub(crate) worker: WorkerId,
    pub(crate) opened: Moment,
    /// When the last byte was received on it; while it is leased, what it was at checkout.
    pub(crate) idle_since: Moment,
    /// How long it had been idle at its last checkout.
    pub(crate) idle_age: Duration,
    /// Requests that it was given, the present one included.
    pub(crate) uses: u32,
    /// From then on it is closed instead of being reused.
    pub(crate) retire_at: Moment,
    /// After so many uses likewise.
    pub(crate) uses_max: u32,
    /// While it is held: who waits for it.
    pub(crate) promised_to: Option<Ticket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Opening,
    Leased,
    Idle,
    /// Idle, and promised to a waiter.
    Held,
    Probe,
    /// It carries a request whose hedge has answered first, to see when it is answered.
    Followed,
}

impl Connection {
    pub(crate) fn opening(endpoint: EndpointId, worker: WorkerId, limits: &Limits, now: Moment) -> Self {
        Self {
            endpoint,
            state: State::Opening,
            worker,
            opened: now,
            idle_since: now,
            idle_age: Duration::ZERO,
            uses: 1,
            retire_at: limits
                .max_connection_duration
                .map_or(Moment::NEVER, |most| now + most),
            uses_max: limits
                .max_requests_per_connection
                .map_or(u32::MAX, std::num::NonZero::get),
            promised_to: None,
        }
    }

    /// The permit for a fresh connection in the place of this one, for the same request.
    pub(crate) fn successor(&self, now: Moment) -> Self {
        let mut fresh = Self {
            state: State::Opening,
            idle_age: Duration::ZERO,
            uses: 1,
            promised_to: None,
            ..self.clone()
        };
        fresh.starts(now);
        fresh
    }

    /// Its life begins now.
    pub(crate) fn starts(&mut self, now: Moment) {
        if self.retire_at != Moment::NEVER {
            self.retire_at = now + self.retire_at.since(self.opened);
        }
        (self.opened, self.idle_since) = (now, now);
    }

    /// Whether a request is on it, or it is being opened for one.
    pub(crate) fn in_flight(&self) -> bool {
        matches!(self.state, State::Opening | State::Leased | State::Held)
    }
}

/// All connections of a cluster: open, opening, idle.
pub(crate) type Connections = Slab<ConnectionId, Connection>;

/// One endpoint's idle connections, the youngest last.
#[derive(Debug, Default)]
pub(crate) struct IdleList {
    list: Vec<Idle>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) connection: ConnectionId,
    pub(crate) worker: WorkerId,
    pub(crate) since: Moment,
    pub(crate) retire_at: Moment,
}

/// What the idle connections offer a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Offer {
    /// This one, taken off the list.
    Take(ConnectionId, Writing),
    /// There is none, or none young enough.
    Nothing,
}

impl IdleList {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn oldest(&self) -> Option<Idle> {
        self.list.first().copied()
    }

    pub(crate) fn push(&mut self, mut idle: Idle) -> Moment {
        // Workers read their clocks before they take the lock, so `now` may step back a little;
        // the list stays sorted.
        if let Some(last) = self.list.last() {
            idle.since = idle.since.max(last.since);
        }
        self.list.push(idle);
        idle.since
    }

    /// Puts one back whose age went on.
    pub(crate) fn restore(&mut self, idle: Idle) {
        let at = self.list.partition_point(|other| other.since <= idle.since);
        self.list.insert(at, idle);
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId, since: Moment) -> Option<Idle> {
        let from = self.list.partition_point(|idle| idle.since < since);
        let at = from
            + self.list[from..]
                .iter()
                .position(|idle| idle.connection == connection)?;
        Some(self.list.remove(at))
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Idle> {
        (!self.list.is_empty()).then(|| self.list.remove(0))
    }

    /// Takes out those that `due` names, oldest first.
    pub(crate) fn extract(&mut self, due: impl FnMut(&mut Idle) -> bool) -> Vec<Idle> {
        self.list.extract_if(.., due).collect()
    }

    pub(crate) fn first_retirement(&self) -> Moment {
        self.list
            .iter()
            .map(|idle| idle.retire_at)
            .min()
            .unwrap_or(Moment::NEVER)
    }

    /// Takes one out; mostly it is the youngest.
    fn take_at(&mut self, at: usize) -> Idle {
        let youngest = at + 1 == self.list.len();
        let taken = if youngest { self.list.pop() } else { None };
        taken.unwrap_or_else(|| self.list.remove(at))
    }

    /// The youngest that the request may use, the asking worker's own first. Risk grows with age,
    /// so the first one past the limit ends the search.
    pub(crate) fn take(
        &mut self,
        limit: &Limit,
        replay_safety: ReplaySafety,
        worker: WorkerId,
        now: Moment,
    ) -> Offer {
        let (mut found, mut two_steps) = (None, None);
        for (at, idle) in self.list.iter().enumerate().rev().take(OWN_SEARCH) {
            if idle.retire_at <= now {
                continue;
            }
            let writing = match limit.risk(now.since(idle.since), replay_safety) {
                Risk::Safe => Writing::Direct,
                Risk::Unsure => Writing::TwoStep,
                Risk::Past => break,
            };
            if writing == Writing::TwoStep {
                two_steps = two_steps.or(Some((at, writing)));
                // Beyond `safe` nothing is; a young one at which closes scatter may have safe elders.
                if found.is_some() || now.since(idle.since) > limit.safe {
                    break;
                }
                continue;
            }
            if idle.worker == worker {
                found = Some((at, writing));
                break;
            }
            found = found.or(Some((at, writing)));
        }
        found.or(two_steps).map_or(Offer::Nothing, |(at, writing)| {
            Offer::Take(self.take_at(at).connection, writing)
        })
    }
}

/// A worker's own connection is looked for among so many of the youngest; farther down, taking
/// over another worker's costs less than the search.
const OWN_SEARCH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keepalive::{Ages, Source};

    const LIMIT: Limit = Limit {
        reuse: Duration::from_secs(5),
        safe: Duration::from_secs(1),
        unexplored: true,
        wary: None,
        unsolicited: false,
        source: Source::Configured,
    };

    /// Connections 1, 2, 3 … of these workers, idle since second 0, 1, 2 …
    fn idle(workers: &[u16]) -> IdleList {
        let mut list = IdleList::default();
        for (at, &worker) in workers.iter().enumerate() {
            let since = Moment::from_millis(at as u64 * 1000);
            let connection = ConnectionId(at as u64 + 1);
            list.push(Idle {
                connection,
                worker: WorkerId(worker),
                since,
                retire_at: Moment::NEVER,
            });
        }
        list
    }

    #[test]
    fn the_youngest_of_ones_own_is_taken_before_a_younger_one_of_another_worker() {
        let now = Moment::from_millis(3000);
        let take = |worker| idle(&[0, 0, 1]).take(&LIMIT, ReplaySafety::Safe, WorkerId(worker), now);
        assert_eq!(take(0), Offer::Take(ConnectionId(2), Writing::Direct));
        assert_eq!(take(1), Offer::Take(ConnectionId(3), Writing::Direct));
        assert_eq!(take(9), Offer::Take(ConnectionId(3), Writing::Direct));
    }

    #[test]
    fn where_closes_scatter_an_elder_of_safe_age_is_preferred() {
        let wary = Some(Ages {
            from: Duration::ZERO,
            to: Duration::from_millis(200),
        });
        let limit = Limit { wary, ..LIMIT };
        let take = |millis| {
            let now = Moment::from_millis(millis);
            idle(&[0, 0]).take(&limit, ReplaySafety::NeedsProof, WorkerId(0), now)
        };
        assert_eq!(take(1000), Offer::Take(ConnectionId(1), Writing::Direct));
        assert_eq!(take(1100), Offer::Take(ConnectionId(2), Writing::TwoStep));
    }

    #[test]
    fn a_request_that_needs_proof_prefers_safety_to_its_own_worker_and_is_written_in_two_steps_without() {
        let take = |millis| {
            let now = Moment::from_millis(millis);
            idle(&[0, 1]).take(&LIMIT, ReplaySafety::NeedsProof, WorkerId(0), now)
        };
        assert_eq!(take(1900), Offer::Take(ConnectionId(2), Writing::Direct));
        assert_eq!(take(2500), Offer::Take(ConnectionId(2), Writing::TwoStep));
        assert_eq!(take(5900), Offer::Take(ConnectionId(2), Writing::TwoStep));
        assert_eq!(take(6100), Offer::Nothing);
    }
}
