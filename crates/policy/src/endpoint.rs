//! One address of a cluster: its load, its idle connections, what was learned of it.

use std::time::Duration;

use crate::adaptive::Adaptive;
use crate::cluster::{Address, ConnectionId};
use crate::keepalive::{Band, Learner, Limit, Sign};
use crate::latency::PeakEwma;
use crate::plan::{AdaptivePlan, KeepAlivePlan};
use crate::pool::IdleList;
use crate::service::Service;
use crate::straggler::Stragglers;
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
    /// The limit as it was last asked for, and under which plan; gone when something was learned.
    limit: Option<(KeepAlivePlan, Limit)>,
    /// Survivals since then: they move it slowly.
    survivals: u32,
    /// How long it takes to answer.
    pub(crate) peak: PeakEwma,
    pub(crate) service: Service,
    /// Attempts that lost to their hedge, which it still has.
    pub(crate) stragglers: Stragglers,
    /// What it bears; `None` until a plan asks.
    pub(crate) adaptive: Option<Box<Adaptive>>,
    /// Requests that it was given.
    pub(crate) uses: u64,
    pub(crate) connect_failures: u64,
    /// Connections that were opened, or were to be.
    pub(crate) opened: u64,
    /// Attempts that took longer than they may.
    pub(crate) timeouts: u64,
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
    pub(crate) fn new(address: Address, now: Moment) -> Self {
        Self {
            address,
            held_by: 0,
            in_flight: 0,
            open: 0,
            idle: IdleList::default(),
            probe: None,
            learner: Learner::new(),
            round_trip: None,
            limit: None,
            survivals: 0,
            peak: PeakEwma::default(),
            service: Service::new(now),
            stragglers: Stragglers::default(),
            adaptive: None,
            uses: 0,
            connect_failures: 0,
            opened: 0,
            timeouts: 0,
        }
    }

    /// Up to which idle age its connections are used. Kept between requests: what it is made of
    /// changes rarely.
    pub(crate) fn limit(&mut self, plan: &KeepAlivePlan) -> Limit {
        if let Some((under, limit)) = &self.limit
            && under == plan
        {
            return *limit;
        }
        let limit = self.fresh_limit(plan);
        self.limit = Some((plan.clone(), limit));
        limit
    }

    /// It took so long to answer, or had not by then. What fails quickly is not fast.
    pub(crate) fn on_latency(&mut self, latency: Duration, good: bool, now: Moment) {
        if good || self.peak.average().is_some_and(|usual| latency > usual) {
            self.peak.observe(latency, now);
        }
    }

    /// Whether it may have one more request, by what it bears.
    pub(crate) fn bears_more(&self, plan: Option<&AdaptivePlan>) -> bool {
        let (Some(plan), Some(adaptive)) = (plan, &self.adaptive) else {
            return true;
        };
        self.load() < adaptive.limit(plan)
    }

    /// Requests that it has, as far as is known: those in flight, and those that were given up because
    /// another endpoint was faster.
    pub(crate) fn load(&self) -> u32 {
        self.in_flight.saturating_add(self.stragglers.len())
    }

    /// Whether another endpoint is to be preferred: it seems to leave, or to stall.
    pub(crate) fn is_doubtful(&self, now: Moment) -> bool {
        self.service.leaving.is_away(now) || self.stragglers.stalled(now)
    }

    /// Whether the keep-alive timer that was learned or announced explains a close at this age.
    pub(crate) fn explains(&self, age: Duration, plan: &KeepAlivePlan) -> bool {
        let known = self.learner.knowledge(plan, Duration::ZERO);
        let near = |timer: Duration| age + TIMER_ROUNDING >= timer;
        let wall = known.wall.is_some_and(|wall| near(wall.lo) && age <= wall.top());
        wall || known
            .hint
            .is_some_and(|hint| near(hint) && age <= hint + TIMER_ROUNDING)
    }

    fn fresh_limit(&self, plan: &KeepAlivePlan) -> Limit {
        self.learner.limit(plan, self.round_trip.unwrap_or_default())
    }

    pub(crate) fn on_round_trip(&mut self, round_trip: Option<Duration>) {
        if let Some(new) = round_trip {
            let old = self.round_trip.unwrap_or(new);
            self.round_trip = Some(new.max(old - old / 8 + new / 8));
            self.limit = None;
        }
    }

    /// See [`Learner::on_response`].
    pub(crate) fn on_response(&mut self, hint: Option<Duration>) -> bool {
        let changed = self.learner.on_response(hint);
        self.forget_limit(changed);
        changed
    }

    /// See [`Learner::on_survived`].
    pub(crate) fn on_survived(&mut self, age: Duration) -> bool {
        let changed = self.learner.on_survived(age);
        self.survivals += 1;
        self.forget_limit(changed || self.survivals >= SURVIVALS_FELT);
        changed
    }

    /// See [`Learner::on_closed`].
    pub(crate) fn on_closed(&mut self, age: Duration, how: Sign, now: Moment) -> bool {
        self.limit = None;
        self.learner.on_closed(age, how, now)
    }

    /// See [`Learner::suggest`].
    pub(crate) fn suggest(&mut self, wall: Band) {
        self.limit = None;
        self.learner.suggest(wall);
    }

    fn forget_limit(&mut self, changed: bool) {
        if changed {
            (self.limit, self.survivals) = (None, 0);
        }
    }

    /// When its idle connections and its probe next need a look.
    pub(crate) fn due(&self, plan: &KeepAlivePlan) -> Moment {
        let just_after = Duration::from_nanos(1);
        let limit = self.fresh_limit(plan).reuse;
        let idle = self
            .idle
            .oldest()
            .map_or(Moment::NEVER, |idle| idle.since + limit + just_after);
        let probe = self.probe.map_or(Moment::NEVER, |probe| {
            let passes = self.learner.wall().filter(|_| !probe.passed);
            let passes = passes.map_or(Moment::NEVER, |wall| probe.since + wall.top() + just_after);
            passes.min(Self::probe_ends(probe.since, plan))
        });
        idle.min(probe)
            .min(self.idle.first_retirement())
            .min(self.stragglers.due())
    }

    /// Until when a probe that is idle since `since` is kept.
    pub(crate) fn probe_ends(since: Moment, plan: &KeepAlivePlan) -> Moment {
        since + (plan.idle_timeout * 2).min(PROBE_MAX)
    }
}

/// A probe tells nothing more that matters after this long.
const PROBE_MAX: Duration = Duration::from_secs(600);

/// So many survivals may raise the age that is safe; until then it is taken for a little lower.
const SURVIVALS_FELT: u32 = 64;

/// Servers round their timers, up to whole seconds.
const TIMER_ROUNDING: Duration = Duration::from_secs(1);
