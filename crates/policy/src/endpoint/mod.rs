//! One address of a cluster: its load, its idle connections, what was learned of it.

pub(crate) mod leaving;
pub(crate) mod path;
pub(crate) mod service;

use std::time::Duration;

use crate::cluster::{Address, ConnectionId, Hold};
use crate::concurrency::adaptive::Adaptive;
use crate::concurrency::saturation::Saturation;
use crate::endpoint::path::Path;
use crate::endpoint::service::Service;
use crate::keepalive::silence::Silence;
use crate::keepalive::{Band, Learned, Learner, Limit, Sign};
use crate::latency::PeakEwma;
use crate::plan::{ClusterPlan, KeepAlivePlan, Learning, SaturationGuard};
use crate::pool::IdleList;
use crate::retry::straggler::Stragglers;
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
    pub(crate) path: Path,
    pub(crate) silence: Silence,
    /// Until then connections die together.
    cautious_until: Moment,
    /// Until then it is known to send bytes that answer no request.
    unsolicited_until: Moment,
    /// When one was last closed for a reason that its keep-alive timer does not explain.
    closed_at: Option<Moment>,
    /// The limit as it was last asked for, and under which plan; gone when something was learned.
    limit: Option<(KeepAlivePlan, Limit)>,
    /// Survivals since then: they make scatter rarer, slowly.
    survivals: u32,
    /// How long it takes to answer.
    pub(crate) peak: PeakEwma,
    pub(crate) service: Service,
    /// Attempts that lost to their hedge, which it still has.
    pub(crate) stragglers: Stragglers,
    /// What it bears; `None` until a plan asks.
    pub(crate) adaptive: Option<Box<Adaptive>>,
    /// Whether it is saturated; `None` until it had some requests at once.
    pub(crate) saturation: Option<Box<Saturation>>,
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
            path: Path::to(&address),
            silence: Silence::default(),
            cautious_until: Moment::default(),
            unsolicited_until: Moment::default(),
            closed_at: None,
            address,
            held_by: 0,
            in_flight: 0,
            open: 0,
            idle: IdleList::default(),
            probe: None,
            learner: Learner::new(),
            limit: None,
            survivals: 0,
            peak: PeakEwma::default(),
            service: Service::new(now),
            stragglers: Stragglers::default(),
            adaptive: None,
            saturation: None,
            uses: 0,
            connect_failures: 0,
            opened: 0,
            timeouts: 0,
        }
    }

    /// Up to which idle age its connections are used. Kept between requests: what it is made of
    /// changes rarely.
    #[inline]
    pub(crate) fn limit(&mut self, plan: &KeepAlivePlan) -> &Limit {
        if self.limit.as_ref().is_none_or(|(under, _)| under != plan) {
            self.limit = None;
        }
        match self.limit {
            Some((_, ref limit)) => limit,
            None => self.renew_limit(plan),
        }
    }

    #[cold]
    fn renew_limit(&mut self, plan: &KeepAlivePlan) -> &Limit {
        let limit = self.fresh_limit(plan);
        &self.limit.insert((plan.clone(), limit)).1
    }

    /// It took so long to answer, or had not by then. What fails quickly is not fast.
    pub(crate) fn on_latency(&mut self, latency: Duration, good: bool, now: Moment) {
        if good || self.peak.average().is_some_and(|usual| latency > usual) {
            self.peak.observe(latency, now);
        }
    }

    /// Whether it may have one more request, by what it bears.
    pub(crate) fn bears_more(&mut self, plan: &ClusterPlan, now: Moment) -> bool {
        let load = self.load();
        match (&plan.adaptive, &self.adaptive, &mut self.saturation) {
            (Some(plan), Some(adaptive), _) => load < adaptive.limit(plan),
            (None, _, Some(saturation)) if plan.saturation_guard == SaturationGuard::On => {
                saturation.bears_more(load, now)
            }
            _ => true,
        }
    }

    /// It answered after so long: whether it is saturated, where nobody configured a limit.
    pub(crate) fn on_unlimited_answer(&mut self, latency: Duration, now: Moment) {
        if self.saturation.is_none() && self.in_flight >= WATCHED_FROM {
            self.saturation = Some(Box::new(Saturation::new(now)));
        }
        if let Some(saturation) = &mut self.saturation {
            saturation.on_answer(latency, self.in_flight, now);
        }
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
        self.learner.limit(plan, self.path.length())
    }

    pub(crate) fn on_round_trip(&mut self, round_trip: Option<Duration>) {
        if let Some(new) = round_trip {
            self.path.on_round_trip(new);
            self.limit = None;
        }
    }

    /// An attempt was answered after so long.
    pub(crate) fn on_answer(&mut self, took: Duration, now: Moment) {
        if self.path.on_answer(took, now) {
            self.limit = None;
        }
    }

    /// What a request that asks now may go by: the limit, what siblings have survived, and what has
    /// happened in the last moments.
    pub(crate) fn limit_now(&mut self, plan: &KeepAlivePlan, siblings: Duration, now: Moment) -> Limit {
        let mut limit = self.limit(plan).with_siblings(siblings);
        if let Some(silent) = self.silence.limit(now) {
            limit.reuse = limit.reuse.min(silent);
            limit.safe = limit.safe.min(silent);
        }
        if !self.path.bears_two_steps() {
            (limit.safe, limit.wary) = (limit.reuse, None);
        } else if now < self.cautious_until {
            limit.safe = Duration::ZERO;
        }
        limit.unsolicited = now < self.unsolicited_until;
        limit
    }

    /// How a two-step write on a connection of this idle age holds the head's end back. Flows are forgotten at
    /// ages that no request has survived; closes that speak within the path's length come at any.
    pub(crate) fn hold(&self, age: Duration, siblings: Duration, plan: &KeepAlivePlan, now: Moment) -> Hold {
        let survived = self.learner.explored().max(siblings);
        let knows = plan.learning == Learning::On && age <= survived;
        Hold {
            awaits_acknowledgement: self.silence.was_met() || now < self.unsolicited_until || !knows,
            ..self.path.hold()
        }
    }

    /// It sent bytes that answered no request. What comes before the first part of a request is
    /// acknowledged can be told from its answer, so that is waited for.
    pub(crate) fn on_unsolicited(&mut self, now: Moment) {
        self.unsolicited_until = now + UNSOLICITED;
    }

    /// A connection was closed at an age that no timer explains.
    pub(crate) fn on_unexplained_close(&mut self, now: Moment) {
        if self.closed_at.is_some_and(|last| now.since(last) <= BURST) {
            self.be_cautious(now);
        }
        self.closed_at = Some(now);
    }

    /// Its connections are dying: for some moments none is taken for safe.
    pub(crate) fn be_cautious(&mut self, now: Moment) {
        self.cautious_until = now + CAUTION;
    }

    /// See [`Learner::on_response`].
    pub(crate) fn on_response(&mut self, hint: Option<Duration>) -> bool {
        let changed = self.learner.on_response(hint);
        self.forget_limit(changed);
        changed
    }

    /// See [`Learner::on_outlived`].
    pub(crate) fn on_outlived(&mut self, age: Duration) -> bool {
        let changed = self.learner.on_outlived(age);
        self.forget_limit(changed);
        changed
    }

    /// See [`Learner::on_survived`].
    pub(crate) fn on_survived(&mut self, age: Duration, now: Moment) -> bool {
        let changed = self.learner.on_survived(age, now);
        self.silence.on_survived(age);
        self.survivals += 1;
        self.forget_limit(changed || self.survivals >= SURVIVALS_FELT);
        changed
    }

    /// See [`Learner::on_closed`].
    pub(crate) fn on_closed(&mut self, age: Duration, how: Sign, now: Moment) -> bool {
        self.limit = None;
        self.learner.on_closed(age, how, now)
    }

    /// See [`Learner::on_surprise`].
    pub(crate) fn on_surprise(&mut self, written: Duration, how: Sign) -> bool {
        self.limit = None;
        self.learner.on_surprise(written, how)
    }

    /// See [`Learner::suggest`].
    pub(crate) fn suggest(&mut self, wall: Band) {
        self.limit = None;
        self.learner.suggest(wall);
    }

    /// See [`Learner::recall`].
    pub(crate) fn recall(&mut self, learned: &Learned, now: Moment) {
        self.limit = None;
        self.learner.recall(learned, now);
        if let Some(silent) = learned.silence {
            self.silence.recall(silent, now);
        }
    }

    fn forget_limit(&mut self, changed: bool) {
        if changed {
            (self.limit, self.survivals) = (None, 0);
        }
    }

    /// Beyond this age its connections are taken for forgotten now, if silence was met lately.
    pub(crate) fn silent_limit(&self, now: Moment) -> Duration {
        self.silence.limit(now).unwrap_or(Duration::MAX)
    }

    /// When its idle connections and its probe next need a look.
    pub(crate) fn due(&self, plan: &KeepAlivePlan, now: Moment) -> Moment {
        let just_after = Duration::from_nanos(1);
        let limit = self.fresh_limit(plan).reuse.min(self.silent_limit(now));
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

/// Closes within this time of each other have one cause, and others may follow.
const BURST: Duration = Duration::from_millis(50);

/// How long an endpoint whose connections die together is not trusted with a request that needs
/// proof: a server that reloads is done with it by then.
const CAUTION: Duration = Duration::from_millis(500);

/// So long an endpoint is taken to send bytes that answer no request, after it did. As long as the greatest age that
/// a request survived is believed at most.
const UNSOLICITED: Duration = Duration::from_secs(3600);

/// So many survivals may make an age safe again; until then they are not counted.
const SURVIVALS_FELT: u32 = 64;

/// Servers round their timers, up to whole seconds.
const TIMER_ROUNDING: Duration = Duration::from_secs(1);

/// Whether it is saturated is watched once so many requests were in flight to it at once.
const WATCHED_FROM: u32 = 4;
