//! One address of a cluster: its load, its idle connections, what was learned of it.

use std::time::Duration;

use crate::cluster::{Address, ConnectionId};
use crate::keepalive::{Learner, Limit};
use crate::plan::KeepAlivePlan;
use crate::pool::IdleList;
use crate::time::Moment;

/// An endpoint, for as long as a snapshot holds it or a connection to it is open.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    /// Snapshots that hold it.
    pub(crate) held_by: u32,
    /// Requests in flight to it.
    pub(crate) in_flight: u32,
    /// All of its connections.
    pub(crate) open: u32,
    pub(crate) idle: IdleList,
    pub(crate) probe: Option<Probe>,
    pub(crate) learner: Learner,
    /// The round trip, smoothed downwards only: a rise counts at once.
    pub(crate) round_trip: Option<Duration>,
    /// Its claim in weighted round robin.
    pub(crate) turn: i64,
    /// Requests that it was given.
    pub(crate) uses: u64,
    pub(crate) connect_failures: u64,
}

/// A connection past the limit, kept unused to see when the endpoint closes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) connection: ConnectionId,
    pub(crate) since: Moment,
    /// It has outlived the wall, and said so.
    pub(crate) passed: bool,
}

impl Endpoint {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            held_by: 0,
            in_flight: 0,
            open: 0,
            idle: IdleList::default(),
            probe: None,
            learner: Learner::new(),
            round_trip: None,
            turn: 0,
            uses: 0,
            connect_failures: 0,
        }
    }

    pub(crate) fn limit(&self, plan: &KeepAlivePlan) -> Limit {
        self.learner.limit(plan, self.round_trip.unwrap_or_default())
    }

    pub(crate) fn on_round_trip(&mut self, round_trip: Option<Duration>) {
        if let Some(new) = round_trip {
            let old = self.round_trip.unwrap_or(new);
            self.round_trip = Some(new.max(old - old / 8 + new / 8));
        }
    }

    /// When its idle connections and its probe next need a look.
    pub(crate) fn due(&self, plan: &KeepAlivePlan) -> Moment {
        let just_after = Duration::from_nanos(1);
        let limit = self.limit(plan).reuse;
        let idle = self
            .idle
            .oldest()
            .map_or(Moment::NEVER, |idle| idle.since + limit + just_after);
        let probe = self.probe.map_or(Moment::NEVER, |probe| {
            let passes = self.learner.wall().filter(|_| !probe.passed);
            let passes = passes.map_or(Moment::NEVER, |wall| probe.since + wall.top() + just_after);
            passes.min(Self::probe_ends(probe.since, plan))
        });
        idle.min(probe).min(self.idle.first_retirement())
    }

    /// Until when a probe that is idle since `since` is kept.
    pub(crate) fn probe_ends(since: Moment, plan: &KeepAlivePlan) -> Moment {
        since + (plan.idle_timeout * 2).min(PROBE_MAX)
    }
}

/// A probe tells nothing more that matters after this long.
const PROBE_MAX: Duration = Duration::from_secs(600);
