use proptest::prelude::*;

use super::*;
use crate::cluster::ReplaySafety;
use crate::time::Dice;

const PLAN: KeepAlivePlan = KeepAlivePlan {
    idle_timeout: Duration::from_secs(300),
    learning: Learning::On,
    margin: Duration::from_millis(20),
    replay_bytes: 65_536,
};
const MS: fn(u64) -> Duration = Duration::from_millis;

/// A learner with a clock of its own: each close comes a second after the last.
struct Story {
    learner: Learner,
    now: Moment,
}

impl Story {
    fn new() -> Self {
        Self {
            learner: Learner::new(),
            now: Moment::from_millis(1),
        }
    }

    fn close(&mut self, age: Duration) {
        self.now = self.now + MS(1000);
        self.learner.on_closed(age, Sign::Fin, self.now);
    }

    fn survive(&mut self, age: Duration) {
        self.learner.on_survived(age, self.now);
    }

    fn limit(&self) -> Limit {
        self.learner.limit(&PLAN, Duration::ZERO)
    }

    fn reuse(&self) -> Duration {
        self.limit().reuse
    }
}

/// An age within `percent` of `around`.
fn jitter(around: Duration, percent: u32, dice: &mut Dice) -> Duration {
    let span = around * percent / 100;
    around - span + dice.up_to(span * 2)
}

#[test]
fn nothing_is_known_at_first_and_only_the_youngest_are_safe() {
    let limit = Story::new().limit();
    assert_eq!(
        (limit.reuse, limit.source),
        (PLAN.idle_timeout, Source::Configured)
    );
    for replay_safety in [ReplaySafety::Safe, ReplaySafety::NeedsProof] {
        assert_eq!(limit.risk(MS(100), replay_safety), Risk::Safe);
        assert_eq!(limit.risk(MS(300_001), replay_safety), Risk::Past);
    }
    assert_eq!(limit.risk(MS(101), ReplaySafety::NeedsProof), Risk::Unsure);
    assert_eq!(
        limit.risk(MS(101), ReplaySafety::Safe),
        Risk::Safe,
        "it can be sent again"
    );
}

#[test]
fn one_close_calls_for_care_at_once_and_three_alike_set_the_limit() {
    let mut story = Story::new();
    story.learner.on_closed(MS(5000), Sign::Reset, story.now);
    let limit = story.limit();
    assert_eq!(limit.reuse, PLAN.idle_timeout, "one close may be an accident");
    assert_eq!(
        limit.risk(MS(4000), ReplaySafety::NeedsProof),
        Risk::Unsure,
        "a reset would leave no proof"
    );
    story.close(MS(5001));
    assert_eq!(story.reuse(), PLAN.idle_timeout);
    story.close(MS(5000));
    let limit = story.limit();
    assert_eq!(
        limit.source,
        Source::Learned {
            closes: 3,
            wall: MS(5000)
        }
    );
    assert!(limit.reuse >= MS(4400) && limit.reuse < MS(4600), "{limit:?}");
    assert_eq!(limit.risk(MS(4000), ReplaySafety::NeedsProof), Risk::Safe);
}

#[test]
fn a_single_close_that_many_outlived_calls_for_no_care() {
    let mut story = Story::new();
    (0..2000).for_each(|_| story.survive(MS(9000)));
    story.learner.on_closed(MS(5000), Sign::Reset, story.now);
    let limit = story.limit();
    assert_eq!(
        limit.risk(MS(4000), ReplaySafety::NeedsProof),
        Risk::Safe,
        "a thousand lived to tell"
    );
}

#[test]
fn a_hint_bounds_the_limit_from_the_first_response_on() {
    let mut story = Story::new();
    assert!(story.learner.on_response(Some(MS(5000))));
    assert_eq!(
        (story.reuse(), story.limit().source),
        (MS(3980), Source::Hint),
        "a second for rounding"
    );
    assert_eq!(story.limit().risk(MS(3900), ReplaySafety::NeedsProof), Risk::Safe);
    (0..3).for_each(|_| story.close(MS(6001)));
    assert_eq!(
        story.reuse(),
        MS(4980),
        "it keeps its word, so no rounding is left to fear"
    );
    (0..3).for_each(|_| story.close(MS(2500)));
    assert!(story.reuse() < MS(2500), "closes count more than words");
}

#[test]
fn a_hint_of_zero_means_less_than_a_second_and_one_not_repeated_fades() {
    let mut story = Story::new();
    story.learner.on_response(Some(Duration::ZERO));
    assert_eq!(story.reuse(), MS(100));
    for _ in 0..99 {
        assert!(!story.learner.on_response(None));
    }
    assert!(story.learner.on_response(None));
    assert_eq!(story.reuse(), PLAN.idle_timeout);
}

#[test]
fn a_restart_closes_connections_of_all_ages_and_is_one_accident() {
    let mut story = Story::new();
    for (at, age) in [9000, 700, 5000, 20, 3000, 3100].into_iter().enumerate() {
        let at = story.now + MS(at as u64 * 8);
        story.learner.on_closed(MS(age), Sign::Fin, at);
    }
    assert_eq!(story.learner.wall(), None);
    assert_eq!(
        story.limit().safe,
        MS(100),
        "an accident, however young some of them were"
    );
    assert_eq!(story.learner.knowledge(&PLAN, Duration::ZERO).closes, 1);
}

#[test]
fn a_sweep_over_all_that_are_due_is_a_timer() {
    let mut story = Story::new();
    for sweep in 0..6 {
        for (nth, age) in [2900, 2500, 2010, 2300].into_iter().enumerate() {
            let at = Moment::from_millis(10_000 * (sweep + 1) + nth as u64);
            story.learner.on_closed(MS(age), Sign::Fin, at);
        }
    }
    let wall = story.learner.wall().unwrap();
    assert_eq!((wall.lo, wall.closes), (MS(2010), 6));
    assert!(
        story.reuse() < MS(1980) && story.reuse() > MS(1500),
        "{:?}",
        story.reuse()
    );
}

#[test]
fn siblings_start_from_what_the_others_agree_on() {
    let mut teacher = Story::new();
    (0..20).for_each(|_| teacher.close(MS(2000)));
    let mut pupil = Story::new();
    pupil.learner.suggest(teacher.learner.wall().unwrap());
    assert_eq!(
        pupil.limit().risk(MS(1970), ReplaySafety::NeedsProof),
        Risk::Unsure
    );
    assert!(pupil.limit().safe < MS(1980), "it is careful");
    pupil.close(MS(2001));
    assert!(pupil.reuse() < MS(1980), "its own first close confirms the wall");
    let mut other = Story::new();
    other.learner.suggest(teacher.learner.wall().unwrap());
    other.survive(MS(2500));
    other.survive(MS(2500));
    assert_eq!(other.learner.watch.suspect(), None, "its own survivors refute it");
}

#[test]
fn with_learning_off_closes_change_nothing() {
    let plan = KeepAlivePlan {
        learning: Learning::Off,
        ..PLAN
    };
    let mut story = Story::new();
    story.learner.on_response(Some(MS(5000)));
    (0..50).for_each(|_| story.close(MS(50)));
    let limit = story.learner.limit(&plan, Duration::ZERO);
    assert_eq!((limit.reuse, limit.safe), (PLAN.idle_timeout, MS(100)));
}

#[test]
fn what_was_learned_is_one_sentence() {
    let mut story = Story::new();
    let told = |story: &Story| story.learner.knowledge(&PLAN, Duration::ZERO).sentence();
    assert!(told(&story).starts_with("has not been seen to close an idle connection"));
    (0..41).for_each(|_| story.close(MS(5001)));
    assert_eq!(
        told(&story),
        "closes idle connections after 5.001 s, as 41 of 41 closes; connections are reused up to 4.944 s"
    );
    story.learner.on_response(Some(MS(4000)));
    assert!(told(&story).starts_with("announces to close after 4.000 s, closes after 5.001 s"));
}

proptest! {
    #[test]
    fn an_exact_timer_is_known_after_five_closes(
        timer in 50_u64..100_000, percent in 0_u32..=2, rtt in 0_u64..=20, closes in 5_usize..60, seed: u64,
    ) {
        let (timer, rtt, dice) = (MS(timer), MS(rtt), &mut Dice::seeded(seed));
        let mut story = Story::new();
        let mut youngest = Duration::MAX;
        for _ in 0..closes {
            let age = jitter(timer, percent, dice);
            youngest = youngest.min(age);
            story.close(age);
        }
        let limit = story.learner.limit(&PLAN, rtt);
        prop_assert!(limit.reuse < youngest);
        prop_assert!(limit.reuse + rtt < timer * (100 - percent) / 100);
        prop_assert!(limit.reuse + rtt + PLAN.margin >= timer * 7 / 10, "{limit:?}");
        prop_assert_eq!(limit.risk(limit.reuse, ReplaySafety::NeedsProof), Risk::Safe);
    }

    #[test]
    fn a_timer_with_spread_is_known_by_its_lower_end(
        lo in 300_u64..50_000, spread in 10_u64..50, seed: u64,
    ) {
        let (lo, dice) = (MS(lo), &mut Dice::seeded(seed));
        let width = lo * u32::try_from(spread).unwrap() / 100;
        let mut story = Story::new();
        (0..50).for_each(|_| story.close(lo + dice.up_to(width)));
        let limit = story.limit();
        prop_assert!(limit.reuse < lo, "{limit:?}");
        prop_assert!(limit.reuse > lo / 2, "{limit:?}");
    }

    #[test]
    fn pure_scatter_never_lowers_the_limit(mean_gap in 500_u64..40_000, per_mille in 1_u64..=20, seed: u64) {
        let dice = &mut Dice::seeded(seed);
        let mut story = Story::new();
        // Requests come after pauses of all lengths; now and then the connection has been closed.
        for _ in 0..3000 {
            let unit = (dice.bits() >> 11) as f64 / (1_u64 << 53) as f64;
            let gap = MS((-(1.0 - unit).ln() * mean_gap as f64) as u64).min(PLAN.idle_timeout);
            if dice.below(1000) < per_mille {
                story.close(dice.up_to(gap));
            } else {
                story.survive(gap);
            }
            prop_assert!(story.reuse() >= PLAN.idle_timeout * 9 / 10, "{:?}", story.learner.watch);
        }
    }

    #[test]
    fn a_raised_timer_is_known_after_three_probes(
        old in 500_u64..30_000, factor in 15_u64..80, closes in 3_usize..100, seed: u64,
    ) {
        let (old, new, dice) = (MS(old), MS(old * factor / 10), &mut Dice::seeded(seed));
        let mut story = Story::new();
        (0..closes).for_each(|_| story.close(jitter(old, 1, dice)));
        prop_assert!(story.reuse() < old);
        (0..3).for_each(|_| story.close(jitter(new, 1, dice)));
        prop_assert!(story.reuse() > old, "{:?}", story.learner.watch);
        prop_assert!(story.reuse() < new * 99 / 100);
    }

    #[test]
    fn a_timer_that_is_gone_is_forgotten_after_three_probes(timer in 100_u64..30_000, closes in 3_usize..100) {
        let mut story = Story::new();
        (0..closes).for_each(|_| story.close(MS(timer)));
        (0..3).for_each(|_| _ = story.learner.on_outlived(MS(timer * 2)));
        prop_assert_eq!(story.limit().source, Source::Configured);
    }

    #[test]
    fn a_lowered_timer_is_known_after_three_closes(
        old in 1000_u64..100_000, percent in 5_u64..95, closes in 3_usize..100, seed: u64,
    ) {
        let (old, new, dice) = (MS(old), MS(old * percent / 100), &mut Dice::seeded(seed));
        let mut story = Story::new();
        for _ in 0..closes {
            story.close(jitter(old, 1, dice));
            (0..20).for_each(|_| story.survive(old * 9 / 10));
        }
        (0..3).for_each(|_| story.close(jitter(new, 1, dice)));
        prop_assert!(story.reuse() < new * 99 / 100, "{:?}", story.learner.watch);
    }

    #[test]
    fn a_timer_among_accidents_keeps_its_wall(
        timer in 1000_u64..60_000, per_cent in 1_u64..=10, seed: u64,
    ) {
        let (timer, dice) = (MS(timer), &mut Dice::seeded(seed));
        let mut story = Story::new();
        (0..5).for_each(|_| story.close(jitter(timer, 1, dice)));
        for _ in 0..500 {
            if dice.below(100) < per_cent {
                story.close(dice.up_to(timer));
            } else {
                story.close(jitter(timer, 1, dice));
            }
            (0..5).for_each(|_| story.survive(dice.up_to(timer * 8 / 10)));
            prop_assert!(story.reuse() < timer * 99 / 100);
        }
        prop_assert!(story.reuse() > timer / 3, "{:?}", story.learner.watch);
    }

    #[test]
    fn the_limit_keeps_to_its_order_whatever_is_seen(
        events in prop::collection::vec((0_u64..400_000, 0_u8..5, 0_u64..2000), 0..300),
        margin in 0_u64..100, rtt in 0_u64..100, idle in 0_u64..400_000,
    ) {
        let plan = KeepAlivePlan { idle_timeout: MS(idle), margin: MS(margin), ..PLAN };
        let mut story = Story::new();
        for (age, kind, pause) in events {
            story.now = story.now + MS(pause);
            match kind {
                0 => _ = story.learner.on_closed(MS(age), Sign::Fin, story.now),
                1 => _ = story.learner.on_closed(MS(age), Sign::Reset, story.now),
                2 => _ = story.learner.on_survived(MS(age), story.now),
                3 => _ = story.learner.on_surprise(MS(age), Sign::Reset),
                _ => _ = story.learner.on_response(Some(MS(age))),
            }
            let limit = story.learner.limit(&plan, MS(rtt));
            prop_assert!(limit.safe <= limit.reuse);
            prop_assert!(limit.wary.is_none_or(|ages| ages.from <= ages.to));
            prop_assert!(limit.reuse <= plan.idle_timeout);
            if let Some(wall) = story.learner.wall() {
                prop_assert!(wall.lo <= wall.hi && limit.reuse <= wall.lo);
            }
        }
    }
}
