use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const AT: fn(u64) -> Moment = Moment::from_millis;
const MS: fn(u64) -> Duration = Duration::from_millis;
const UNREACHED: CheckResult = CheckResult::Failed(Failure::Network);

fn plan(healthy: u32, unhealthy: u32) -> HealthPlan {
    HealthPlan {
        timeout: MS(1_000),
        interval: MS(3_000),
        initial_jitter: MS(3_000),
        unhealthy_threshold: NonZeroU32::new(unhealthy).unwrap(),
        healthy_threshold: NonZeroU32::new(healthy).unwrap(),
        port: None,
        probe: http(&[], &[]),
    }
}

fn http(retriable: &[u16], receive: &[u8]) -> HealthProbe {
    HealthProbe::Http {
        host: None,
        path: "/ready".into(),
        method: "GET".into(),
        statuses: vec![200, 204],
        retriable: retriable.to_vec(),
        receive: receive.to_vec(),
    }
}

struct Story {
    health: Health,
    plan: HealthPlan,
    counters: HealthCounters,
    dice: Dice,
}

impl Story {
    fn new(healthy: u32, unhealthy: u32) -> Self {
        let (plan, mut dice) = (plan(healthy, unhealthy), Dice::seeded(3));
        Self {
            health: Health::unknown(&plan, AT(0), &mut dice),
            plan,
            counters: HealthCounters::default(),
            dice,
        }
    }

    fn check(&mut self, result: CheckResult, at: u64) -> Change {
        self.health.begin(&self.plan, AT(at));
        self.health
            .on_check(result, &self.plan, &mut self.counters, AT(at), &mut self.dice)
    }

    fn checks(&mut self, results: &[CheckResult]) -> Vec<Change> {
        results.iter().map(|&result| self.check(result, 0)).collect()
    }
}

#[test]
fn an_endpoint_that_was_never_checked_counts_as_healthy() {
    let story = Story::new(1, 3);
    assert!(story.health.serves());
    assert!(story.health.next_deadline() <= AT(3_000));
}

#[test]
fn so_many_failures_in_a_row_take_it_out_and_so_many_good_checks_in_again() {
    use Change::{BecameHealthy, BecameUnhealthy, None};
    let mut story = Story::new(2, 3);
    let good = CheckResult::Good;
    assert_eq!(
        story.checks(&[good, UNREACHED, UNREACHED, good, UNREACHED, UNREACHED, UNREACHED]),
        [None, None, None, None, None, None, BecameUnhealthy]
    );
    assert!(!story.health.serves());
    assert_eq!(
        story.checks(&[UNREACHED, good, UNREACHED, good, good]),
        [None, None, None, None, BecameHealthy]
    );
    assert!(story.health.serves());
    let expected = HealthCounters {
        attempt: 12,
        success: 5,
        failure: 7,
        network_failure: 7,
    };
    assert_eq!(story.counters, expected);
}

#[test]
fn one_that_refuses_is_out_at_once_and_one_that_was_never_checked_needs_the_threshold() {
    let mut story = Story::new(1, 3);
    assert_eq!(story.check(CheckResult::Refused, 700), Change::BecameUnhealthy);
    assert_eq!(story.health.since(), AT(700));
    let mut story = Story::new(1, 2);
    assert_eq!(
        story.checks(&[UNREACHED, UNREACHED]),
        [Change::None, Change::BecameUnhealthy]
    );
}

#[test]
fn a_check_is_due_once_and_the_next_after_the_interval_give_or_take_a_tenth() {
    let mut story = Story::new(1, 3);
    let first = story.health.next_deadline();
    assert!(story.health.due(first));
    assert_eq!(story.health.begin(&story.plan, first), first + MS(1_000));
    assert!(!story.health.due(first + MS(100)), "it runs");
    assert_eq!(story.health.next_deadline(), first + MS(1_000));
    let timeout = CheckResult::Failed(Failure::Timeout);
    let Story {
        health,
        plan,
        counters,
        dice,
    } = &mut story;
    health.on_check(timeout, plan, counters, first + MS(1_000), dice);
    let pause = health.next_deadline().since(first + MS(1_000));
    assert!(pause >= MS(2_700) && pause <= MS(3_300), "{pause:?}");
}

#[test]
fn checks_of_many_endpoints_do_not_come_together() {
    let (plan, mut dice) = (plan(1, 3), Dice::seeded(5));
    let mut thirds = [0; 3];
    for _ in 0..300 {
        let first = Health::unknown(&plan, AT(0), &mut dice).next_deadline();
        thirds[(first.as_nanos() / 1_000_000_001) as usize] += 1;
    }
    assert!(thirds.iter().all(|&count| count > 70), "{thirds:?}");
}

#[test]
fn an_answer_is_good_retriable_or_a_refusal() {
    let probe = http(&[503], b"ok");
    let judge = |status, body: &[u8]| judge_http(&probe, HttpAnswer { status, body });
    assert_eq!(judge(200, b"all ok here"), CheckResult::Good);
    assert_eq!(judge(204, b"o k"), CheckResult::Failed(Failure::Answer));
    assert_eq!(judge(503, b"ok"), CheckResult::Failed(Failure::Answer));
    assert_eq!(judge(500, b"ok"), CheckResult::Refused);
    let any_body = http(&[], b"");
    let answer = HttpAnswer {
        status: 200,
        body: b"",
    };
    assert_eq!(judge_http(&any_body, answer), CheckResult::Good);
}

fn result() -> impl Strategy<Value = CheckResult> {
    prop_oneof![
        4 => Just(CheckResult::Good),
        4 => Just(UNREACHED),
        1 => Just(CheckResult::Failed(Failure::Timeout)),
        1 => Just(CheckResult::Failed(Failure::Answer)),
        1 => Just(CheckResult::Refused),
    ]
}

proptest! {
    #[test]
    fn the_state_is_what_the_last_rows_say(
        healthy in 1_u32..5,
        unhealthy in 1_u32..5,
        results in prop::collection::vec(result(), 1..80),
    ) {
        let mut story = Story::new(healthy, unhealthy);
        let (mut serves, mut good_row, mut bad_row) = (true, 0, 0);
        for (at, &result) in (0..).zip(&results) {
            let change = story.check(result, at);
            if result == CheckResult::Good {
                (good_row, bad_row) = (good_row + 1, 0);
            } else {
                (good_row, bad_row) = (0, bad_row + 1);
            }
            let before = serves;
            if serves && (bad_row >= unhealthy || result == CheckResult::Refused) {
                (serves, bad_row) = (false, 0);
            } else if !serves && good_row >= healthy {
                (serves, good_row) = (true, 0);
            }
            prop_assert_eq!(story.health.serves(), serves);
            let expected = match (before, serves) {
                (true, false) => Change::BecameUnhealthy,
                (false, true) => Change::BecameHealthy,
                (true, true) | (false, false) => Change::None,
            };
            prop_assert_eq!(change, expected);
        }
        let counters = story.counters;
        prop_assert_eq!(counters.attempt, results.len() as u64);
        prop_assert_eq!(counters.success + counters.failure, counters.attempt);
    }
}
