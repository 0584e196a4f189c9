//! Traffic of all kinds against endpoints that close in all ways: what the price comes to, and what risk is
//! left. One client, one request at a time, so that each pause is an idle age.

use proptest::prelude::*;

use super::*;
use crate::cluster::ReplaySafety;
use crate::time::Dice;

const MS: fn(u64) -> Duration = Duration::from_millis;
const PATH: Duration = Duration::from_millis(20);

/// How requests come.
#[derive(Clone, Copy, Debug)]
enum Pauses {
    /// Every so often, give or take a thousandth.
    Regular(Duration),
    /// By chance, so far apart on average.
    Poisson(Duration),
    /// Ten close together, then a pause of up to so long.
    Bursts(Duration),
}

/// How the endpoint ends idle connections.
#[derive(Clone, Copy, Debug)]
enum Closes {
    /// A timer, by FIN: one that crosses a request leaves proof.
    Fin(Duration),
    /// A timer, by a bare RST: one that crosses a request leaves none.
    Reset(Duration),
    /// A timer; it half-closes and drains, and in one of twenty that cross a request the proof is lost.
    HalfClose(Duration),
    /// By chance, one in so many idle seconds, by RST.
    Scatter(u64),
    Never,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    posts: u64,
    two_steps: u64,
    failed: u64,
    opened: u64,
    /// Connections that the endpoint closed, met or not.
    closed: u64,
}

struct World {
    learner: Learner,
    pauses: Pauses,
    closes: Closes,
    dice: Dice,
    now: Moment,
    plan: KeepAlivePlan,
    nth: u64,
    open: bool,
}

impl World {
    fn new(pauses: Pauses, closes: Closes, seed: u64) -> Self {
        Self {
            learner: Learner::new(),
            pauses,
            closes,
            dice: Dice::seeded(seed),
            now: Moment::from_millis(1),
            plan: KeepAlivePlan::default(),
            nth: 0,
            open: false,
        }
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        let unit = (self.dice.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        mean.mul_f64(-(1.0 - unit).ln())
    }

    fn pause(&mut self) -> Duration {
        self.nth += 1;
        match self.pauses {
            Pauses::Regular(every) => every - every / 1000 + self.dice.up_to(every / 500),
            Pauses::Poisson(mean) => self.exponential(mean),
            Pauses::Bursts(_) if !self.nth.is_multiple_of(10) => MS(5),
            Pauses::Bursts(most) => self.dice.up_to(most),
        }
    }

    /// The idle age at which a FIN or RST would be here; a timer is a millisecond late at most.
    fn closes_at(&mut self) -> Duration {
        match self.closes {
            Closes::Fin(timer) | Closes::Reset(timer) | Closes::HalfClose(timer) => {
                timer + self.dice.up_to(MS(1))
            }
            Closes::Scatter(seconds) => self.exponential(Duration::from_secs(seconds)),
            Closes::Never => Duration::MAX,
        }
    }

    fn sign(&self) -> Sign {
        match self.closes {
            Closes::Reset(_) | Closes::Scatter(_) => Sign::Reset,
            _ => Sign::Fin,
        }
    }

    /// Whether a close that crosses a request written at once leaves proof.
    fn proves(&mut self) -> bool {
        match self.closes {
            Closes::Reset(_) | Closes::Scatter(_) => false,
            Closes::HalfClose(_) => self.dice.below(20) > 0,
            _ => true,
        }
    }

    /// One POST after a pause.
    fn post(&mut self, count: &mut Count) {
        let age = self.pause();
        let closes_at = self.closes_at();
        let limit = self.learner.limit(&self.plan, PATH);
        let idle_for = age.min(limit.reuse);
        let was_open = self.open;
        count.posts += 1;
        self.now = self.now + age;
        if was_open && closes_at <= idle_for {
            self.learner.on_closed(closes_at, self.sign(), self.now);
            count.closed += 1;
        } else if was_open && age > limit.reuse {
            // A probe sees the close that comes later.
            match limit.source {
                Source::Configured => _ = self.learner.on_outlived(limit.reuse),
                _ => _ = self.learner.on_closed(closes_at, self.sign(), self.now),
            }
        }
        self.open = true;
        if !was_open || closes_at <= age || age > limit.reuse {
            count.opened += 1;
            return;
        }
        let risk = limit.risk(age, ReplaySafety::NeedsProof);
        count.two_steps += u64::from(risk == Risk::Unsure);
        if closes_at > age + PATH {
            self.learner.on_survived(age, self.now);
            return;
        }
        count.opened += 1;
        count.closed += 1;
        let sign = self.sign();
        let proven = risk == Risk::Unsure || self.proves();
        if proven || sign == Sign::Reset {
            self.learner.on_closed(closes_at, sign, self.now);
        }
        if !proven {
            self.learner.on_surprise(age, sign);
            count.failed += 1;
        }
    }

    fn run(&mut self, time: Duration) -> Count {
        let mut count = Count::default();
        let until = self.now + time;
        while self.now < until {
            self.post(&mut count);
        }
        count
    }
}

/// A minute to learn, then four that count.
fn second_minute_on(pauses: Pauses, closes: Closes, seed: u64) -> (Count, Count) {
    let mut world = World::new(pauses, closes, seed);
    (world.run(MS(60_000)), world.run(MS(240_000)))
}

fn usual_traffic() -> impl Strategy<Value = Pauses> {
    prop_oneof![
        (50_u64..4000).prop_map(|every| Pauses::Regular(MS(every))),
        (200_u64..1500).prop_map(|mean| Pauses::Poisson(MS(mean))),
        (100_u64..3000).prop_map(|most| Pauses::Bursts(MS(most))),
    ]
}

/// Timers that servers ship with.
fn timer() -> impl Strategy<Value = Duration> {
    prop::sample::select(vec![2_u64, 5, 6, 15, 60, 75]).prop_map(Duration::from_secs)
}

#[test]
fn regular_posts_are_written_at_once_from_the_second_minute_on() {
    for pauses in [
        Pauses::Regular(MS(110)),
        Pauses::Regular(MS(200)),
        Pauses::Regular(MS(3000)),
        Pauses::Poisson(MS(1000)),
    ] {
        let (mut posts, mut two_steps) = (0, 0);
        for seed in 0..10 {
            let (_, count) = second_minute_on(pauses, Closes::Fin(MS(5000)), seed);
            (posts, two_steps) = (posts + count.posts, two_steps + count.two_steps);
            assert_eq!(count.failed, 0, "{pauses:?}");
        }
        assert!(two_steps * 50 < posts, "{pauses:?}: {two_steps} of {posts}");
    }
}

#[test]
fn while_a_timer_is_only_suspected_few_posts_pay_for_it() {
    for mean in [1000, 1500] {
        let (mut posts, mut two_steps) = (0, 0);
        for seed in 0..100 {
            let mut world = World::new(Pauses::Poisson(MS(mean)), Closes::Fin(MS(5000)), seed);
            world.run(MS(60_000));
            let count = world.run(MS(120_000));
            (posts, two_steps) = (posts + count.posts, two_steps + count.two_steps);
            assert_eq!(count.failed, 0, "every {mean} ms");
        }
        assert!(two_steps * 66 < posts, "every {mean} ms: {two_steps} of {posts}");
    }
}

#[test]
fn posts_to_a_endpoint_that_resets_by_a_timer_hardly_ever_meet_it() {
    let (mut at_first, mut posts) = (0, 0);
    for seed in 0..100 {
        // Pauses up to the timer and beyond.
        let mut world = World::new(Pauses::Poisson(MS(3000)), Closes::Reset(MS(5000)), seed);
        let first = world.run(MS(300_000));
        at_first += first.failed;
        let later = world.run(MS(600_000));
        assert_eq!(later.failed, 0, "seed {seed}");
        posts += first.posts + later.posts;
    }
    assert!(at_first <= 1 && posts > 25_000, "{at_first} of {posts}");
}

#[test]
fn scattered_resets_are_paid_for_with_two_steps_and_fail_nobody_for_long() {
    let mut world = World::new(Pauses::Regular(MS(200)), Closes::Scatter(10), 1);
    let first = world.run(MS(120_000));
    let later = world.run(MS(900_000));
    assert!(later.failed * 10_000 < later.posts * 2, "{later:?}");
    assert!(later.two_steps * 2 > later.posts, "{first:?} {later:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_usual_traffic_pays_for_proof_from_the_second_minute_on(
        pauses in usual_traffic(), timer in timer(), seed: u64,
    ) {
        let (_, count) = second_minute_on(pauses, Closes::Fin(timer), seed);
        prop_assert_eq!(count.failed, 0);
        // Of one run; the chance of a few more explorations is what the mean in the test above bounds.
        prop_assert!(count.two_steps <= 8 + count.posts / 50, "{count:?}");
    }

    #[test]
    fn half_closes_fail_next_to_nobody(pauses in usual_traffic(), timer in timer(), seed: u64) {
        let (first, count) = second_minute_on(pauses, Closes::HalfClose(timer), seed);
        prop_assert!(first.failed + count.failed <= 1, "{first:?} {count:?}");
    }

    #[test]
    fn where_nothing_is_closed_next_to_nothing_is_paid_and_one_connection_serves_all(
        pauses in usual_traffic(), seed: u64,
    ) {
        let (first, count) = second_minute_on(pauses, Closes::Never, seed);
        prop_assert_eq!((first.opened, count.opened), (1, 0));
        prop_assert!(count.two_steps <= 8, "{count:?}");
    }
}
