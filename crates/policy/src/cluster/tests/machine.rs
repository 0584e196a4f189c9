//! Random sequences of all calls, against a model of what the shell holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::deadline::Arrival;
use crate::evidence::End;
use crate::freeze::Freeze;
use crate::health::CheckResult;
use crate::keepalive::Limit;
use crate::plan::{AdaptivePlan, Balance, HashOn, HashPlan, HashTable};
use crate::plan::{KeepAlivePlan, OutlierPlan, Percent, QueuePlan};
use crate::retry::attempts::{Outcome, Summary};

/// One step of the shell's; numbers choose among what it holds.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Checkout {
        worker: u16,
        replay_safety: bool,
        fresh: bool,
        snapshot: usize,
        avoid: bool,
    },
    Connected(usize),
    ConnectFailed(usize, bool),
    FoundDead(usize, u8),
    HandBack(usize, u8, Option<u64>),
    IdleEnded(usize, u8),
    Reap,
    Claim(usize),
    Cancel(usize),
    Adopt(u16, u16),
    Retire(usize),
    /// An attempt at the endpoint of this place: 0 and 1 are answers, 2 a failure.
    Told(usize, u8),
    Checked(usize, bool),
    Retry(bool),
    /// Our own process stands still for so long.
    Freeze(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = || 0_usize..64;
    let checkout = (0_u16..3, any::<bool>(), any::<bool>(), pick(), any::<bool>()).prop_map(
        |(worker, replay_safety, fresh, snapshot, avoid)| Step::Checkout {
            worker,
            replay_safety,
            fresh,
            snapshot,
            avoid,
        },
    );
    let step = prop_oneof![
        4 => prop_oneof![0_u64..50, 0_u64..5000].prop_map(Step::Wait),
        8 => checkout,
        4 => pick().prop_map(Step::Connected),
        1 => (pick(), any::<bool>()).prop_map(|(at, timed_out)| Step::ConnectFailed(at, timed_out)),
        1 => (pick(), 0_u8..3).prop_map(|(at, how)| Step::FoundDead(at, how)),
        6 => (pick(), 0_u8..9, prop::option::weighted(0.1, 0_u64..10)).prop_map(|(at, how, hint)| {
            Step::HandBack(at, how, hint)
        }),
        3 => (pick(), 0_u8..3).prop_map(|(at, how)| Step::IdleEnded(at, how)),
        2 => Just(Step::Reap),
        3 => pick().prop_map(Step::Claim),
        1 => pick().prop_map(Step::Cancel),
        1 => (0_u16..4, 1_u16..4).prop_map(|(from, count)| Step::Adopt(from, count)),
        1 => pick().prop_map(Step::Retire),
        4 => (pick(), 0_u8..4).prop_map(|(at, how)| Step::Told(at, how)),
        1 => (pick(), any::<bool>()).prop_map(|(at, good)| Step::Checked(at, good)),
        1 => any::<bool>().prop_map(Step::Retry),
        1 => (50_u64..2000).prop_map(Step::Freeze),
    ];
    prop::collection::vec(step, 1..200)
}

fn plan() -> impl Strategy<Value = ClusterPlan> {
    let limits = (
        1_u32..8,
        0_u32..4,
        1_u32..10,
        prop::option::of(1_u32..4),
        prop::option::of(1_u32..5),
    );
    let service = (any::<bool>(), any::<bool>(), 0_u32..=100, 1_u64..3000, 0_usize..5);
    let times = (prop::option::of(1_u64..8000), 100_u64..4000);
    (limits, times, service).prop_map(|(limits, (oldest, idle), service)| {
        let (adaptive, slow_start, percent, patience, balance) = service;
        let (max_connections, max_pending_requests, max_parallel_requests, per_endpoint, uses) = limits;
        ClusterPlan {
            limits: Limits {
                max_connections,
                max_pending_requests,
                max_parallel_requests,
                max_parallel_retries: 3,
                max_requests_per_connection: uses.and_then(std::num::NonZeroU32::new),
                max_connections_per_endpoint: per_endpoint,
                max_connection_duration: oldest.map(Duration::from_millis),
            },
            keep_alive: KeepAlivePlan {
                idle_timeout: Duration::from_millis(idle),
                ..KeepAlivePlan::default()
            },
            balance: [
                Balance::LeastRequest,
                Balance::PeakEwma,
                Balance::RoundRobin,
                Balance::Random,
                Balance::ConsistentHash(HashPlan {
                    on: HashOn::Source,
                    table: HashTable::Ring(64),
                }),
            ][balance]
                .clone(),
            slow_start: slow_start.then_some(Duration::from_millis(2000)),
            panic_threshold: Percent(percent),
            queue: QueuePlan {
                patience: Duration::from_millis(patience),
                ..QueuePlan::default()
            },
            outlier: OutlierPlan {
                consecutive_gateway: 2,
                consecutive_local: 2,
                base_ejection: Duration::from_millis(500),
                max_ejection_percent: percent,
                ..OutlierPlan::default()
            },
            adaptive: adaptive.then(|| AdaptivePlan {
                least: 1,
                ..AdaptivePlan::default()
            }),
            health: Some(checks(100, 300, 300)),
            ..ClusterPlan::default()
        }
    })
}

/// The shell's side: what it has been promised, and the cluster that promised it.
struct Shell {
    cluster: Cluster,
    plan: Arc<ClusterPlan>,
    now: Moment,
    dice: Dice,
    snapshots: Vec<Members>,
    opening: Vec<ConnectionId>,
    leased: Vec<ConnectionId>,
    /// Sockets that it watches.
    idle: BTreeSet<ConnectionId>,
    /// Waiters, with the snapshot that each holds on to.
    waiting: BTreeMap<Ticket, Members>,
    called: Vec<Ticket>,
    retries: u32,
    /// Every connection that was ever opened.
    ever: BTreeSet<ConnectionId>,
}

impl Shell {
    fn new(plan: ClusterPlan) -> Self {
        let mut cluster = Cluster::new("machine".into());
        let members = cluster.adopt(&[(address(1), 1), (address(2), 2)], Moment::default());
        Self {
            cluster,
            plan: Arc::new(plan),
            now: AT(1),
            dice: Dice::seeded(5),
            snapshots: vec![members],
            opening: Vec::new(),
            leased: Vec::new(),
            idle: BTreeSet::new(),
            waiting: BTreeMap::new(),
            called: Vec::new(),
            retries: 0,
            ever: BTreeSet::new(),
        }
    }

    fn take(list: &mut Vec<ConnectionId>, at: usize) -> Option<ConnectionId> {
        (!list.is_empty()).then(|| list.swap_remove(at % list.len()))
    }

    fn limit(&self, endpoint: EndpointId) -> Limit {
        self.cluster.knowledge(endpoint).unwrap().limit
    }

    fn given(&mut self, checkout: Checkout, ask: &Ask<'_>) {
        match checkout {
            Checkout::Reuse(reused) => {
                assert_eq!(ask.reuse, Reuse::Allow, "a replay was given a used connection");
                assert!(self.idle.remove(&reused.connection), "given twice, or never idle");
                let limit = self.limit(reused.endpoint);
                assert!(
                    reused.facts.idle_age <= limit.reuse,
                    "{:?} past {limit:?}",
                    reused.facts
                );
                if ask.replay_safety == ReplaySafety::NeedsProof && reused.facts.idle_age > limit.safe {
                    assert_eq!(reused.writing, Writing::TwoStep);
                }
                assert!(
                    ask.members
                        .list
                        .iter()
                        .any(|&(id, weight)| id == reused.endpoint && weight > 0)
                );
                self.leased.push(reused.connection);
            }
            Checkout::Open {
                connection, endpoint, ..
            } => {
                assert!(self.ever.insert(connection), "an id was given twice");
                assert!(
                    ask.members
                        .list
                        .iter()
                        .any(|&(id, weight)| id == endpoint && weight > 0)
                );
                self.opening.push(connection);
            }
            Checkout::Queue(ticket) => assert!(self.waiting.insert(ticket, ask.members.clone()).is_none()),
            Checkout::Refuse(_) => {}
        }
    }

    fn closed(&mut self, gone: impl IntoIterator<Item = ConnectionId>) {
        for connection in gone {
            assert!(
                self.idle.remove(&connection),
                "{connection:?} was closed twice or while leased"
            );
        }
    }

    fn end(how: u8) -> IdleEnd {
        [IdleEnd::Fin, IdleEnd::Reset, IdleEnd::Unsolicited][usize::from(how % 3)]
    }

    fn checkout(&mut self, step: (u16, bool, bool, usize, bool)) {
        let (worker, replay_safety, fresh, snapshot, avoid) = step;
        let Some(members) = self
            .snapshots
            .get(snapshot % self.snapshots.len().max(1))
            .cloned()
        else {
            return;
        };
        let plan = self.plan.clone();
        let avoid: Vec<_> = members
            .list
            .iter()
            .map(|&(id, _)| id)
            .take(usize::from(avoid))
            .collect();
        let ask = Ask {
            replay_safety: if replay_safety {
                ReplaySafety::Safe
            } else {
                ReplaySafety::NeedsProof
            },
            reuse: if fresh { Reuse::Forbid } else { Reuse::Allow },
            avoid: &avoid,
            ..Ask::new(&members, &plan, WorkerId(worker))
        };
        let checkout = self.cluster.checkout(&ask, self.now, &mut self.dice);
        self.given(checkout, &ask);
    }

    fn claim(&mut self, ticket: Ticket) {
        let members = self.waiting.remove(&ticket).unwrap();
        let plan = self.plan.clone();
        let ask = Ask::new(&members, &plan, ME);
        let checkout = self
            .cluster
            .claim(ticket, &ask, self.now, &mut self.dice)
            .unwrap();
        assert!(
            !matches!(checkout, Checkout::Queue(_)),
            "a turn that came is not put off"
        );
        self.given(checkout, &ask);
    }

    fn hand_back(&mut self, connection: ConnectionId, how: u8, hint: Option<u64>) {
        let hint = hint.map(Duration::from_secs);
        let how = match how {
            0 => Handback::Closed,
            1 => Handback::PeerClosed {
                how: IdleEnd::Reset,
                raced: true,
                proven: false,
            },
            4 => Handback::Silent,
            2 => Handback::PeerClosed {
                how: IdleEnd::Unsolicited,
                raced: false,
                proven: false,
            },
            3 => Handback::Outrun { begun: self.now },
            _ => Handback::Reusable {
                hint,
                round_trip: Some(Duration::from_millis(1)),
            },
        };
        if self.cluster.hand_back(connection, how, WorkerId(1), self.now) == Parked::Keep {
            assert!(self.idle.insert(connection));
        }
    }

    /// An endpoint of any age, gone or not.
    fn any_endpoint(&self, at: usize) -> Option<EndpointId> {
        let all: Vec<_> = self.snapshots.iter().flat_map(|members| &members.list).collect();
        (!all.is_empty()).then(|| all[at % all.len()].0)
    }

    fn told(&mut self, at: usize, how: u8) {
        let result = match how {
            0 => Outcome::Status(200),
            1 => Outcome::Status(503),
            2 => Outcome::ConnectTimedOut,
            _ => Outcome::Died {
                end: End::Reset,
                grade: Grade::Unknown,
            },
        };
        let summary = Summary {
            endpoint: self.any_endpoint(at),
            reused: at.is_multiple_of(2),
            raced: false,
            copy_whole: true,
            answered: false,
            arrival: Arrival::Whole,
            result,
        };
        self.cluster.on_attempt(&summary, self.now, self.now);
    }

    fn checked(&mut self, at: usize, good: bool) {
        self.cluster.checks_due(&self.plan, self.now, &mut self.dice);
        let result = if good {
            CheckResult::Good
        } else {
            CheckResult::Refused
        };
        if let Some(endpoint) = self.any_endpoint(at) {
            self.cluster.on_check(endpoint, result, self.now, &mut self.dice);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(millis) => self.now = self.now + Duration::from_millis(millis),
            Step::Freeze(millis) => {
                let began = self.now;
                self.now = began + Duration::from_millis(millis);
                let freeze = Freeze::seen(began, self.now).unwrap();
                self.cluster.on_freeze(freeze);
                assert_eq!(self.cluster.frozen_until(), self.now);
            }
            Step::Checkout {
                worker,
                replay_safety,
                fresh,
                snapshot,
                avoid,
            } => {
                self.checkout((worker, replay_safety, fresh, snapshot, avoid));
            }
            Step::Connected(at) => {
                if let Some(connection) = Self::take(&mut self.opening, at) {
                    self.cluster
                        .connected(connection, Some(Duration::from_millis(2)), self.now);
                    self.leased.push(connection);
                }
            }
            Step::ConnectFailed(at, timed_out) => {
                if let Some(connection) = Self::take(&mut self.opening, at) {
                    self.cluster.connect_failed(connection, timed_out, self.now);
                }
            }
            Step::FoundDead(at, how) => {
                if let Some(connection) = Self::take(&mut self.leased, at) {
                    self.cluster.on_stale(connection, Self::end(how), self.now);
                }
            }
            Step::HandBack(at, how, hint) => {
                if let Some(connection) = Self::take(&mut self.leased, at) {
                    self.hand_back(connection, how, hint);
                }
            }
            Step::IdleEnded(at, how) => {
                let Some(&connection) = self.idle.iter().nth(at % self.idle.len().max(1)) else {
                    return;
                };
                assert!(self.cluster.idle_ended(connection, Self::end(how), self.now));
                self.idle.remove(&connection);
                assert!(
                    !self.cluster.idle_ended(connection, Self::end(how), self.now),
                    "it ended before"
                );
            }
            Step::Reap => {
                // What is learned from the retired may retire more; a few rounds settle it.
                for _ in 0..4 {
                    let gone = self.cluster.reap(&self.plan, self.now);
                    self.closed(gone);
                }
                assert!(self.cluster.next_deadline() > self.now);
            }
            Step::Claim(at) => {
                if !self.called.is_empty() {
                    let ticket = self.called.swap_remove(at % self.called.len());
                    self.claim(ticket);
                }
            }
            Step::Cancel(at) => {
                let Some(ticket) = self.waiting.keys().copied().nth(at % self.waiting.len().max(1)) else {
                    return;
                };
                self.waiting.remove(&ticket);
                self.called.retain(|&called| called != ticket);
                self.cluster.cancel(ticket, self.now);
            }
            Step::Told(at, how) => self.told(at, how),
            Step::Checked(at, good) => self.checked(at, good),
            Step::Retry(ends) => {
                if ends && self.retries > 0 {
                    self.retries -= 1;
                    self.cluster.retry_ended(true);
                } else if self.cluster.admit_retry(&self.plan, self.now) {
                    self.retries += 1;
                }
                assert!(self.retries <= self.plan.limits.max_parallel_retries);
            }
            Step::Adopt(from, count) => {
                let addresses: Vec<_> = (from..from + count)
                    .map(|port| (address(port), u32::from(port)))
                    .collect();
                let mut members = self.cluster.adopt(&addresses, self.now);
                members.prepare(&self.plan.balance);
                self.snapshots.push(members);
            }
            Step::Retire(at) => {
                // A waiter's snapshot stays until it has left.
                let at = at % self.snapshots.len().max(1);
                let free = self
                    .snapshots
                    .get(at)
                    .is_some_and(|one| !self.waiting.values().any(|held| held == one));
                if free {
                    let members = self.snapshots.remove(at);
                    let gone = self.cluster.retire(&members, self.now);
                    self.closed(gone);
                }
            }
        }
    }

    /// What must hold after every step.
    fn check(&mut self) {
        while let Some(ticket) = self.cluster.granted() {
            assert!(self.waiting.contains_key(&ticket), "{ticket:?} does not wait");
            self.called.push(ticket);
        }
        while let Some(connection) = self.cluster.evicted() {
            self.closed([connection]);
        }
        let vitals = self.cluster.vitals(self.now);
        assert!(vitals.membership_healthy <= vitals.membership_total);
        let limits = &self.plan.limits;
        let gauges = self.cluster.gauges();
        let (granted, refused) = self.cluster.queue.unclaimed();
        assert_eq!(granted + refused, self.called.len());
        let held = self
            .cluster
            .connections
            .iter()
            .filter(|(_, one)| one.state == State::Held)
            .count();
        let promised = granted - held;
        assert_eq!(
            gauges.rq_active as usize,
            self.opening.len() + self.leased.len() + granted
        );
        assert_eq!(
            gauges.cx_active as usize,
            self.opening.len() + self.leased.len() + self.idle.len() + promised
        );
        assert_eq!(
            gauges.rq_pending_active as usize,
            self.waiting.len() - granted - refused
        );
        assert!(gauges.cx_active <= u64::from(limits.max_connections));
        assert!(gauges.rq_active <= u64::from(limits.max_parallel_requests));
        assert!(gauges.rq_pending_active <= u64::from(limits.max_pending_requests));
        for endpoint in self.cluster.describe(self.now) {
            let most = limits.max_connections_per_endpoint.unwrap_or(u32::MAX);
            assert!(
                endpoint.open <= most && endpoint.active <= endpoint.open,
                "{endpoint:?}"
            );
            let unused = u32::from(endpoint.probe) + u32::from(endpoint.followed);
            assert!(endpoint.idle + endpoint.active + unused == endpoint.open);
        }
    }

    /// Everything is handed back; nobody may be left waiting, nothing counted.
    fn wind_down(mut self) {
        for _ in 0..10_000 {
            self.check();
            if let Some(ticket) = self.called.pop() {
                self.claim(ticket);
            } else if let Some(connection) = self.opening.pop() {
                self.cluster.connected(connection, None, self.now);
                self.leased.push(connection);
            } else if let Some(connection) = self.leased.pop() {
                self.hand_back(connection, 4, None);
            } else {
                break;
            }
        }
        assert!(self.waiting.is_empty(), "{:?} wait in vain", self.waiting.keys());
        for members in std::mem::take(&mut self.snapshots) {
            let gone = self.cluster.retire(&members, self.now);
            self.closed(gone);
        }
        assert!(self.idle.is_empty() && self.cluster.describe(self.now).is_empty());
        (0..self.retries).for_each(|_| self.cluster.retry_ended(false));
        assert_eq!(self.cluster.gauges(), Gauges::default());
        assert_eq!(self.cluster.vitals(self.now).ejections_active, 0);
        let counters = &self.cluster.counters;
        assert_eq!(counters.cx_total - counters.cx_connect_fail, counters.cx_destroy);
        assert_eq!(
            counters.cx_destroy,
            counters.cx_destroy_local + counters.cx_destroy_remote
        );
    }
}

proptest! {
    #[test]
    fn no_limit_is_exceeded_no_permit_lost_no_waiter_forgotten(plan in plan(), steps in steps()) {
        let mut shell = Shell::new(plan);
        for step in steps {
            shell.step(step);
            shell.check();
        }
        shell.wind_down();
    }
}
