//! The limit beside a simulated endpoint: so many workers, a queue before them, and clients that are
//! always more than are let in, unless said otherwise.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;
use crate::time::Dice;

const MS: fn(u64) -> Duration = Duration::from_millis;

struct World {
    adaptive: Adaptive,
    plan: AdaptivePlan,
    dice: Dice,
    now: Moment,
    /// When each of the endpoint's workers is free.
    free: BinaryHeap<Reverse<Moment>>,
    service: Duration,
    /// Service times differ by chance, exponentially.
    scattered: bool,
    /// Requests that are wanted in flight.
    demand: u32,
    /// Ends of those in flight, with their beginnings.
    running: BinaryHeap<Reverse<(Moment, Moment)>>,
    answered: u64,
}

impl World {
    fn new(workers: usize, service: Duration, plan: AdaptivePlan) -> Self {
        let now = Moment::from_millis(1_000);
        Self {
            adaptive: Adaptive::new(now),
            plan,
            dice: Dice::seeded(11),
            now,
            free: (0..workers).map(|_| Reverse(now)).collect(),
            service,
            scattered: false,
            demand: 100_000,
            running: BinaryHeap::new(),
            answered: 0,
        }
    }

    fn limit(&self) -> u32 {
        self.adaptive.limit(&self.plan)
    }

    fn send(&mut self) {
        let Reverse(free) = self.free.pop().unwrap();
        let service = if self.scattered {
            let chance = (self.dice.below(1 << 20) + 1) as f64 / f64::from(1 << 20);
            self.service.mul_f64(-chance.ln())
        } else {
            self.service
        };
        let ends = free.max(self.now) + service;
        self.free.push(Reverse(ends));
        self.running.push(Reverse((ends, self.now)));
    }

    /// Lets time pass; the limits at each answer after the first half of it.
    fn run(&mut self, span: Duration) -> Vec<u32> {
        let (half, end) = (self.now + span / 2, self.now + span);
        let mut limits = Vec::new();
        loop {
            while self.running.len() < self.limit().min(self.demand) as usize {
                self.send();
            }
            let Some(&Reverse((ends, begun))) = self.running.peek() else {
                break;
            };
            if ends > end {
                break;
            }
            self.now = ends;
            let sample = Sample {
                begun,
                latency: ends.since(begun),
                in_flight: self.running.len() as u32,
            };
            self.running.pop();
            self.answered += 1;
            self.adaptive.on_response(&sample, &self.plan, self.now);
            if self.now >= half && matches!(self.adaptive.phase, Phase::Follows { .. }) {
                limits.push(self.limit());
            }
        }
        self.now = end;
        limits
    }

    /// The endpoint answers nothing for a while: what is in flight is late by as much, and given up
    /// requests are reported.
    fn stall(&mut self, span: Duration, drops: u64) {
        let late = |free: Moment| Reverse(free.max(self.now) + span);
        self.free = self.free.iter().map(|&Reverse(free)| late(free)).collect();
        self.running = std::mem::take(&mut self.running)
            .into_iter()
            .map(|Reverse((ends, begun))| Reverse((ends + span, begun)))
            .collect();
        for _ in 0..drops {
            self.now = self.now + span / drops as u32;
            self.adaptive.on_drop(&self.plan, self.now);
        }
    }
}

fn mean(limits: &[u32]) -> f64 {
    limits.iter().map(|&limit| f64::from(limit)).sum::<f64>() / limits.len() as f64
}

#[test]
fn the_limit_settles_a_little_above_what_the_endpoint_serves_at_once() {
    for workers in [8, 40, 160] {
        for scattered in [false, true] {
            let mut world = World::new(workers, MS(20), AdaptivePlan::default());
            world.scattered = scattered;
            let settled = mean(&world.run(MS(60_000)));
            let (least, most) = (workers as f64, workers as f64 * 2.2 + 4.0);
            assert!(
                settled >= least && settled <= most,
                "{settled} for {workers} workers, scattered: {scattered}"
            );
        }
    }
}

#[test]
fn an_endpoint_is_kept_busy_while_its_latency_at_rest_is_measured() {
    let mut world = World::new(20, MS(10), AdaptivePlan::default());
    world.run(MS(60_000));
    let ideal = 60_000 / 10 * 20;
    assert!(world.answered > ideal * 97 / 100, "{} of {ideal}", world.answered);
}

#[test]
fn an_endpoint_that_loses_workers_gets_less_and_with_them_more_again() {
    let mut world = World::new(64, MS(10), AdaptivePlan::default());
    let before = mean(&world.run(MS(60_000)));
    world.free = world.free.drain().take(16).collect();
    let during = mean(&world.run(MS(60_000)));
    assert!((16.0..40.0).contains(&during), "{during}");
    world.free.extend((16..64).map(|_| Reverse(world.now)));
    let after = mean(&world.run(MS(60_000)));
    assert!((after - before).abs() < before / 4.0, "{before}, then {after}");
}

#[test]
fn an_endpoint_that_is_slower_for_good_is_not_starved() {
    let mut world = World::new(50, MS(10), AdaptivePlan::default());
    world.run(MS(30_000));
    world.service = MS(60);
    world.run(MS(60_000));
    let settled = mean(&world.run(MS(60_000)));
    assert!((50.0..120.0).contains(&settled), "{settled}");
}

#[test]
fn drops_shrink_the_limit_and_it_is_back_two_seconds_after_a_stall() {
    let mut world = World::new(32, MS(10), AdaptivePlan::default());
    let before = mean(&world.run(MS(30_000)));
    world.stall(MS(5_000), 500);
    let after = world.adaptive.limit;
    assert!(after < before / 2.0, "{before}, and after the stall {after}");
    world.run(MS(2_000));
    assert!(world.adaptive.limit >= 32.0, "{}", world.adaptive.limit);
}

#[test]
fn a_stall_is_not_taken_for_rest() {
    let mut world = World::new(16, MS(10), AdaptivePlan::default());
    world.run(MS(9_990));
    for _ in 0..20 {
        world.run(MS(400));
        world.stall(MS(600), 0);
        world.now = world.now + MS(600);
    }
    world.run(MS(30_000));
    let settled = mean(&world.run(MS(30_000)));
    assert!((16.0..40.0).contains(&settled), "{settled}");
    assert!(world.adaptive.at_rest().unwrap() < MS(15));
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    let mut world = World::new(1_000, MS(10), AdaptivePlan::default());
    world.demand = 10;
    world.run(MS(60_000));
    assert_eq!(world.adaptive.limit, START);
    world.demand = 40;
    world.run(MS(60_000));
    assert!(
        (40.0..=90.0).contains(&world.adaptive.limit),
        "{}",
        world.adaptive.limit
    );
}

#[test]
fn requests_from_before_a_measurement_are_not_part_of_it() {
    let plan = AdaptivePlan::default();
    let mut adaptive = Adaptive::new(Moment::from_millis(100));
    for number in 0..90 {
        let sample = Sample {
            begun: Moment::from_millis(if number % 2 == 0 { 50 } else { 100 + number }),
            latency: if number % 2 == 0 { MS(500) } else { MS(5) },
            in_flight: 8,
        };
        adaptive.on_response(&sample, &plan, Moment::from_millis(200 + number));
    }
    assert_eq!(adaptive.at_rest(), Some(MS(5)));
}

proptest! {
    #[test]
    fn the_limit_stays_within_its_bounds_whatever_is_reported(
        least in 0_u32..50,
        most in 0_u32..500,
        tolerance in 0.0_f64..4.0,
        steps in prop::collection::vec((0_u64..200, 0_u64..60_000, 0_u32..2_000, prop::bool::weighted(0.1)), 1..400),
    ) {
        let plan = AdaptivePlan { least, most, tolerance };
        let mut now = Moment::from_millis(100_000);
        let mut adaptive = Adaptive::new(now);
        for (wait, latency, in_flight, dropped) in steps {
            now = now + MS(wait);
            let begun = Moment::from_nanos(now.as_nanos() - latency * 1_000_000);
            let sample = Sample { begun, latency: MS(latency), in_flight };
            if dropped {
                adaptive.on_drop(&plan, now);
            } else {
                adaptive.on_response(&sample, &plan, now);
            }
            let limit = adaptive.limit(&plan);
            prop_assert!(limit >= least.max(1) && limit <= most.max(least).max(1), "{}", limit);
        }
    }
}
