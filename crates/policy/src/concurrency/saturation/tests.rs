//! Simulations of one endpoint: requests arrive, wait inside it for one of its workers, and are answered.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::time::Dice;

const AT: fn(u64) -> Moment = Moment::from_millis;
const MS: fn(u64) -> Duration = Duration::from_millis;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Answered(Moment),
    Arrives,
}

struct Endpoint {
    machine: Saturation,
    /// `usize::MAX` is an endpoint that does not queue.
    workers: usize,
    busy: usize,
    waiting: VecDeque<(Moment, Duration)>,
    in_flight: u32,
    events: BTreeSet<(Moment, u64, Event)>,
    count: u64,
    dice: Dice,
    /// When each was answered, and after how long.
    answers: Vec<(Moment, Duration)>,
    refused: Vec<Moment>,
    ever_bound: bool,
    most: u32,
    /// Requests come evenly, not by chance.
    even: bool,
}

impl Endpoint {
    fn new(workers: usize, seed: u64) -> Self {
        Self {
            machine: Saturation::new(AT(0)),
            workers,
            busy: 0,
            waiting: VecDeque::new(),
            in_flight: 0,
            events: BTreeSet::new(),
            count: 0,
            dice: Dice::seeded(seed),
            answers: Vec::new(),
            refused: Vec::new(),
            ever_bound: false,
            most: 1024,
            even: false,
        }
    }

    fn push(&mut self, at: Moment, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count, event));
    }

    /// Arrivals by chance at this rate, each of which takes what `takes` says.
    fn offer(
        &mut self,
        (from, until): (u64, u64),
        per_second: f64,
        mut takes: impl FnMut(&mut Dice, Moment) -> Duration,
    ) {
        let mut at = AT(from);
        let even = self.even;
        let gap = |dice: &mut Dice| {
            if even {
                return Duration::from_secs_f64(1.0 / per_second);
            }
            let chance = (dice.below(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
            Duration::from_secs_f64(-chance.ln() / per_second)
        };
        at = at + gap(&mut self.dice);
        self.push(at, Event::Arrives);
        while let Some((now, _, event)) = self.events.pop_first() {
            match event {
                Event::Arrives => {
                    let takes = takes(&mut self.dice, now);
                    self.arrive(takes, now);
                    let next = now + gap(&mut self.dice);
                    if next < AT(until) {
                        self.push(next, Event::Arrives);
                    } else {
                        return;
                    }
                }
                Event::Answered(begun) => self.answer(begun, now),
            }
        }
    }

    fn arrive(&mut self, takes: Duration, now: Moment) {
        if self.in_flight >= self.most || !self.machine.bears_more(self.in_flight, now) {
            self.refused.push(now);
            return;
        }
        self.in_flight += 1;
        if self.busy < self.workers {
            self.busy += 1;
            self.push(now + takes, Event::Answered(now));
        } else {
            self.waiting.push_back((now, takes));
        }
    }

    fn answer(&mut self, begun: Moment, now: Moment) {
        let in_flight = self.in_flight;
        self.machine.on_answer(now.since(begun), in_flight, now);
        self.ever_bound |= self.machine.limit().is_some();
        self.in_flight -= 1;
        self.answers.push((now, now.since(begun)));
        match self.waiting.pop_front() {
            Some((begun, takes)) => self.push(now + takes, Event::Answered(begun)),
            None => self.busy -= 1,
        }
    }

    /// Answers a second between two moments, and the median of what they took.
    fn told(&self, from: u64, until: u64) -> (f64, Duration) {
        let within = self
            .answers
            .iter()
            .filter(|(at, _)| (AT(from)..AT(until)).contains(at));
        let mut took: Vec<Duration> = within.map(|&(_, took)| took).collect();
        took.sort_unstable();
        let rate = took.len() as f64 * 1000.0 / (until - from) as f64;
        (rate, took.get(took.len() / 2).copied().unwrap_or_default())
    }
}

fn about(millis: u64) -> impl FnMut(&mut Dice, Moment) -> Duration {
    move |dice, _| MS(millis * 9 / 10) + dice.up_to(MS(millis / 5))
}

#[test]
fn five_times_what_eight_workers_bear_is_noticed_and_kept_out() {
    for seed in 1..=10 {
        let mut endpoint = Endpoint::new(8, seed);
        endpoint.offer((0, 3_000), 40.0, about(100));
        assert!(!endpoint.ever_bound, "half its capacity");
        endpoint.offer((3_000, 20_000), 400.0, about(100));
        let (rate, median) = endpoint.told(10_000, 20_000);
        assert!(
            rate >= 77.0 && median <= MS(260),
            "{rate} {median:?}, seed {seed}"
        );
        endpoint.offer((20_000, 30_000), 40.0, about(100));
        assert_eq!(endpoint.machine.limit(), None, "it is over");
        assert!(endpoint.refused.iter().all(|&at| at < AT(21_000)));
    }
}

#[test]
fn the_same_without_a_quiet_time_before() {
    for seed in 1..=10 {
        let mut endpoint = Endpoint::new(8, seed);
        endpoint.offer((0, 20_000), 400.0, about(100));
        let (rate, median) = endpoint.told(10_000, 20_000);
        assert!(
            rate >= 77.0 && median <= MS(300),
            "{rate} {median:?}, seed {seed}"
        );
    }
}

/// As threads of a server do that were all idle when the crowd came.
#[test]
fn workers_in_step_are_noticed_as_well() {
    for per_second in [130.0, 240.0, 400.0] {
        let mut endpoint = Endpoint::new(8, 1);
        endpoint.even = true;
        endpoint.offer((0, 20_000), per_second, |_, _| MS(100));
        let (rate, median) = endpoint.told(8_000, 20_000);
        assert!(
            rate >= 77.0 && median <= MS(300),
            "{rate} {median:?} of {per_second}"
        );
    }
}

#[test]
fn other_services_are_noticed_as_well() {
    for (workers, takes) in [(2, 30), (4, 200), (16, 50), (32, 400), (100, 100)] {
        let capacity = workers as f64 * 1000.0 / takes as f64;
        let mut endpoint = Endpoint::new(workers, 1);
        endpoint.offer((0, 10_000), capacity / 2.0, about(takes));
        assert!(!endpoint.ever_bound);
        endpoint.offer((10_000, 40_000), capacity * 3.0, about(takes));
        let (rate, median) = endpoint.told(30_000, 40_000);
        let few = MS(takes * 12 / workers as u64);
        assert!(
            rate >= capacity * 0.95 && median <= (MS(takes) * 3).max(few * 2),
            "{rate} {median:?} of {workers} workers of {takes} ms"
        );
    }
}

#[test]
fn more_workers_are_noticed_while_it_is_bounded() {
    let mut endpoint = Endpoint::new(8, 3);
    endpoint.offer((0, 10_000), 400.0, about(100));
    assert!(endpoint.machine.limit().is_some());
    endpoint.workers = 16;
    endpoint.offer((10_000, 30_000), 400.0, about(100));
    let (rate, _) = endpoint.told(25_000, 30_000);
    assert!(rate > 150.0, "{rate}");
}

#[test]
fn a_stall_and_what_follows_it_are_not_saturation() {
    let mut endpoint = Endpoint::new(64, 5);
    let stalled = (AT(3_000), AT(6_000));
    endpoint.offer((0, 12_000), 300.0, move |dice, now| {
        let takes = MS(40) + dice.up_to(MS(20));
        if (stalled.0..stalled.1).contains(&now) {
            stalled.1.since(now) + takes
        } else {
            takes
        }
    });
    assert!(!endpoint.ever_bound);
}

/// What stays in flight behind a quick head: streams, downloads.
#[test]
fn streams_that_pile_up_are_not_saturation() {
    for head in [5, 150, 900] {
        let (mut machine, mut dice) = (Saturation::new(AT(0)), Dice::seeded(1));
        for count in 0..10_000_u32 {
            let now = AT(u64::from(count) * 10);
            let took = MS(head) + dice.up_to(MS(head / 4));
            machine.on_answer(took, count, now);
            assert!(machine.bears_more(count, now), "{head} ms, {count} in flight");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// An endpoint that becomes slower and has no queue: a slow dependency, a cold start the other way round.
    #[test]
    fn an_endpoint_that_becomes_slower_is_not_bounded_for_long(
        per_second in 5_f64..600.0,
        first in 20_u64..2_000,
        then in 20_u64..4_000,
        within in 0_u64..20_000,
        spread in 0_u64..=30,
        even in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut endpoint = Endpoint::new(usize::MAX, seed);
        (endpoint.most, endpoint.even) = (u32::MAX, even);
        endpoint.offer((0, 60_000), per_second, move |dice, now| {
            let gone = now.since(AT(5_000)).as_millis() as u64;
            let takes = if gone >= within { then } else { (first * (within - gone) + then * gone) / within };
            MS(takes) + dice.up_to(MS(takes * spread / 100))
        });
        let refused = endpoint.refused.len() as f64;
        prop_assert!(refused <= per_second * 2.0, "{refused} of {per_second} a second");
    }

    /// Long polls, streams, kinds of requests that come and go: whatever is slow without a queue.
    #[test]
    fn what_is_slow_without_a_queue_is_never_bounded_for_long(
        per_second in 5_f64..600.0,
        quick in 1_u64..100,
        slow in 100_u64..5_000,
        spread in 0_u64..=100,
        share in 0_u64..=100,
        later_share in 0_u64..=100,
        shift in 0_u64..10_000,
        seed in any::<u64>(),
    ) {
        let mut endpoint = Endpoint::new(usize::MAX, seed);
        endpoint.most = u32::MAX;
        endpoint.offer((0, 30_000), per_second, move |dice, now| {
            // The shares change from one to the other within `shift`, after ten seconds.
            let gone = now.since(AT(10_000)).as_millis() as u64;
            let share = if gone >= shift { later_share } else { (share * (shift - gone) + later_share * gone) / shift };
            if dice.below(100) < share {
                MS(slow / 2) + dice.up_to(MS(slow * spread / 100))
            } else {
                MS(quick) + dice.up_to(MS(quick * spread / 100))
            }
        });
        let refused = endpoint.refused.len() as f64;
        prop_assert!(refused <= per_second * 1.0, "{refused} of {per_second} a second");
    }
}
