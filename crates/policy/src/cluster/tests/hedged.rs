//! Hedging as seeded, discrete-event simulations: what an endpoint that stalls, or is slower than the
//! others, is given where most of its attempts are given up for their hedges.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::plan::{AdaptivePlan, Balance, HashOn, HashPlan, HashTable, HedgePlan};
use crate::retry::attempts::{Outcome, Summary};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(u64),
    HedgeIsDue(u64),
    Answered(ConnectionId),
    Upkeep,
}

/// One attempt that is out.
#[derive(Clone, Copy)]
struct Out {
    request: u64,
    place: usize,
    begun: Moment,
    /// Nobody waits for it any more: it is followed.
    lost: bool,
}

/// Requests at a steady rate, to endpoints that each take a time of their own.
struct Sim {
    story: Story,
    hedge: HedgePlan,
    /// How long each endpoint takes; `None` never answers.
    takes: Vec<Option<Duration>>,
    /// Up to so much more, by chance, in percent.
    jitter: u64,
    events: BTreeSet<(Moment, Event)>,
    out: BTreeMap<ConnectionId, Out>,
    /// The attempts of each request that is not answered.
    open: BTreeMap<u64, Vec<ConnectionId>>,
    /// Requests that were hedged, and so hold a place among the retries.
    hedged: BTreeSet<u64>,
    /// When each attempt was given to which endpoint.
    given: Vec<(Moment, usize)>,
    answered: u64,
    /// Those that would have had to wait for an adaptive limit.
    turned_away: u64,
    dice: Dice,
}

impl Sim {
    fn new(takes: &[Option<u64>], plan: ClusterPlan, seed: u64) -> Self {
        let hedge = HedgePlan::default();
        let plan = ClusterPlan {
            hedge: Some(hedge),
            ..plan
        };
        let count = u16::try_from(takes.len()).unwrap();
        let mut story = Story::new(count, plan);
        story.members.prepare(&story.plan.balance.clone());
        Self {
            story,
            hedge,
            takes: takes.iter().map(|takes| takes.map(MS)).collect(),
            jitter: 20,
            events: BTreeSet::from([(AT(0), Event::Upkeep)]),
            out: BTreeMap::new(),
            open: BTreeMap::new(),
            hedged: BTreeSet::new(),
            given: Vec::new(),
            answered: 0,
            turned_away: 0,
            dice: Dice::seeded(seed),
        }
    }

    fn offer(&mut self, from: u64, to: u64, per_second: u64) {
        let count = (to - from) * per_second / 1000;
        for nth in 0..count {
            let at = Moment::from_nanos(from * 1_000_000 + nth * 1_000_000_000 / per_second);
            self.events.insert((at, Event::Arrives(from * 1_000_000 + nth)));
        }
    }

    fn run(&mut self, until: u64) {
        while let Some((now, event)) = self.events.pop_first() {
            if now > AT(until) {
                self.events.insert((now, event));
                return;
            }
            match event {
                Event::Upkeep => {
                    let plan = self.story.plan.clone();
                    if self.story.cluster.next_deadline() <= now {
                        for gone in self.story.cluster.reap(&plan, now) {
                            self.out.remove(&gone);
                        }
                    }
                    self.events.insert((now + MS(50), Event::Upkeep));
                }
                Event::Arrives(request) => {
                    self.begin(request, &[], now);
                    if let Some(wait) = self.story.cluster.hedge_wait(&self.hedge, now) {
                        self.events.insert((now + wait, Event::HedgeIsDue(request)));
                    }
                }
                Event::HedgeIsDue(request) => self.hedge(request, now),
                Event::Answered(connection) => self.answer(connection, now),
            }
            while let Some(gone) = self.story.cluster.evicted() {
                self.out.remove(&gone);
            }
        }
    }

    fn begin(&mut self, request: u64, avoid: &[EndpointId], now: Moment) {
        let story = &mut self.story;
        let ask = Ask {
            avoid,
            hash: Some((request % 97).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            ..Ask::new(&story.members, &story.plan, ME)
        };
        let (connection, endpoint) = match story.cluster.checkout(&ask, now, &mut self.dice) {
            Checkout::Open {
                connection, endpoint, ..
            } => {
                story.cluster.connected(connection, None, now);
                (connection, endpoint)
            }
            Checkout::Reuse(reused) => (reused.connection, reused.endpoint),
            Checkout::Queue(ticket) => {
                story.cluster.cancel(ticket, now);
                self.turned_away += 1;
                return;
            }
            Checkout::Refuse(refusal) => panic!("{refusal:?} at {now:?}"),
        };
        let list = &story.members.list;
        let place = list.iter().position(|&(id, _)| id == endpoint).unwrap();
        let out = Out {
            request,
            place,
            begun: now,
            lost: false,
        };
        self.given.push((now, place));
        self.out.insert(connection, out);
        self.open.entry(request).or_default().push(connection);
        if let Some(takes) = self.takes[place] {
            let more = self.dice.up_to(takes * self.jitter as u32 / 100);
            self.events
                .insert((now + takes + more, Event::Answered(connection)));
        }
    }

    fn hedge(&mut self, request: u64, now: Moment) {
        let Some(open) = self.open.get(&request) else {
            return;
        };
        let plan = self.story.plan.clone();
        if self.story.cluster.admit_hedge(&plan, now) {
            let first = self.out[&open[0]].place;
            let avoid = [self.story.members.list[first].0];
            self.hedged.insert(request);
            self.begin(request, &avoid, now);
        }
    }

    fn answer(&mut self, connection: ConnectionId, now: Moment) {
        // One that was closed is not there any more.
        let Some(out) = self.out.remove(&connection) else {
            return;
        };
        let cluster = &mut self.story.cluster;
        if out.lost {
            assert!(cluster.idle_ended(connection, IdleEnd::Unsolicited, now));
            return;
        }
        let attempts = self.open.remove(&out.request).unwrap();
        for other in attempts.into_iter().filter(|&other| other != connection) {
            let lost = self.out[&other];
            let id = self.story.members.list[lost.place].0;
            let outran = lost.begun < out.begun && lost.place != out.place;
            let how = if outran {
                cluster.on_given_up(id, lost.begun, now);
                Handback::Outrun { begun: lost.begun }
            } else {
                Handback::Closed
            };
            match cluster.hand_back(other, how, ME, now) {
                Parked::Keep => self.out.get_mut(&other).unwrap().lost = true,
                Parked::Close => drop(self.out.remove(&other)),
            }
        }
        let summary = Summary {
            endpoint: Some(self.story.members.list[out.place].0),
            reused: true,
            raced: false,
            copy_whole: true,
            answered: false,
            arrival: crate::deadline::Arrival::Whole,
            result: Outcome::Status(200),
        };
        cluster.on_attempt(&summary, out.begun, now);
        let how = Handback::Reusable {
            hint: None,
            round_trip: None,
        };
        cluster.hand_back(connection, how, ME, now);
        if self.hedged.remove(&out.request) {
            cluster.hedge_ended(true);
        }
        self.answered += 1;
    }

    /// Attempts that an endpoint was given from one moment to the other.
    fn to(&self, place: usize, from: u64, until: u64) -> usize {
        let within = |&&(at, to): &&(Moment, usize)| to == place && (AT(from)..AT(until)).contains(&at);
        self.given.iter().filter(within).count()
    }

    fn ejections(&self) -> u64 {
        self.story.cluster.outlier_counters().ejections_enforced_total
    }
}

fn plan(balance: Balance, adaptive: bool) -> ClusterPlan {
    ClusterPlan {
        balance,
        adaptive: adaptive.then(AdaptivePlan::default),
        ..ClusterPlan::default()
    }
}

fn balances() -> [Balance; 5] {
    let hash = HashPlan {
        on: HashOn::Source,
        table: HashTable::Ring(256),
    };
    [
        Balance::LeastRequest,
        Balance::PeakEwma,
        Balance::RoundRobin,
        Balance::Random,
        Balance::ConsistentHash(hash),
    ]
}

#[test]
fn one_of_four_that_stalls_is_avoided_though_its_attempts_are_given_up() {
    for balance in balances() {
        for (adaptive, seed) in [(false, 1), (true, 2), (false, 3), (true, 4)] {
            for per_second in [20, 200, 600] {
                let takes = [Some(5), Some(5), Some(5), Some(5)];
                let mut sim = Sim::new(&takes, plan(balance.clone(), adaptive), seed);
                sim.offer(0, 13_000, per_second);
                sim.run(3000);
                sim.takes[2] = None;
                sim.run(13_000);
                let to_it = sim.to(2, 3000, 13_000);
                assert!(
                    to_it < 30,
                    "{to_it} by {balance:?} at {per_second} a second, adaptive: {adaptive}"
                );
            }
        }
    }
}

#[test]
fn one_that_stalls_for_a_while_is_used_again() {
    for balance in balances() {
        let takes = [Some(5), Some(5), Some(5), Some(5)];
        let mut sim = Sim::new(&takes, plan(balance.clone(), false), 7);
        sim.offer(0, 30_000, 200);
        sim.run(3000);
        sim.takes[2] = None;
        sim.run(3500);
        sim.takes[2] = Some(MS(5));
        sim.run(30_000);
        let before = sim.to(2, 1000, 3000) as f64 / 2.0;
        let after = sim.to(2, 25_000, 30_000) as f64 / 5.0;
        assert!(
            after > before * 0.6,
            "{after} a second of {before} by {balance:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// However its attempts are given up: an endpoint that needs up to three times as long as the others
    /// is never ejected, and goes on being used.
    #[test]
    fn one_that_is_merely_slower_is_not_ejected(
        base in 2_u64..60,
        slower in 100_u64..300,
        per_second in 20_u64..500,
        balance in 0_usize..5,
        adaptive in any::<bool>(),
        jitter in 0_u64..100,
        seed in any::<u64>(),
    ) {
        let slow = base * slower / 100;
        let takes = [Some(base), Some(base), Some(slow), Some(base)];
        let mut sim = Sim::new(&takes, plan(balances()[balance].clone(), adaptive), seed);
        sim.jitter = jitter;
        sim.offer(0, 10_000, per_second);
        sim.run(12_000);
        prop_assert_eq!(sim.ejections(), 0);
        prop_assert!(adaptive || sim.turned_away == 0);
        prop_assert!(sim.answered + sim.turned_away >= 10 * per_second);
        let to_it = sim.to(2, 5000, 10_000) as u64;
        // Peak EWMA goes by latency alone where hardly anything is in flight, hedged or not.
        prop_assert!(balances()[balance] == Balance::PeakEwma || to_it * 40 >= 5 * per_second, "{} of {}", to_it, 5 * per_second);
    }
}
