use proptest::prelude::*;

use super::*;

const AT: fn(u64) -> Moment = Moment::from_millis;
const GOOD: Outcome = Outcome::Status(200);
const BUSY: Outcome = Outcome::Status(503);

/// A cluster's endpoints under one plan. Attempts take no time unless said otherwise.
struct Story {
    outliers: Outliers,
    standings: Vec<Standing>,
    plan: OutlierPlan,
}

impl Story {
    fn new(endpoints: usize, plan: OutlierPlan) -> Self {
        let mut outliers = Outliers::new();
        let standings = (0..endpoints).map(|_| outliers.join(AT(0))).collect();
        Self {
            outliers,
            standings,
            plan,
        }
    }

    fn usual(endpoints: usize) -> Self {
        Self::new(endpoints, OutlierPlan::default())
    }

    fn tell(&mut self, endpoint: usize, outcome: Outcome, at: u64) -> Change {
        self.tell_late(endpoint, outcome, at, at)
    }

    fn tell_late(&mut self, endpoint: usize, outcome: Outcome, begun: u64, at: u64) -> Change {
        let standing = &mut self.standings[endpoint];
        self.outliers
            .on_result(standing, outcome, AT(begun), &self.plan, AT(at))
    }

    fn row(&mut self, endpoint: usize, outcome: Outcome, count: usize, at: u64) -> Change {
        (0..count).fold(Change::None, |_, _| self.tell(endpoint, outcome, at))
    }

    fn sweep(&mut self, at: u64) {
        let mut standings: Vec<&mut Standing> = self.standings.iter_mut().collect();
        self.outliers.sweep(&mut standings, &self.plan, AT(at));
    }

    fn serving(&self, at: u64) -> Vec<usize> {
        let serves = |&endpoint: &usize| self.standings[endpoint].serves(AT(at));
        (0..self.standings.len()).filter(serves).collect()
    }

    fn enforced(&self, cause: Cause) -> u64 {
        self.outliers.counters().enforced[cause as usize]
    }
}

fn ejected(change: Change) -> Ejection {
    let Change::Ejected(ejection) = change else {
        panic!("{change:?} is no ejection")
    };
    ejection
}

#[test]
fn five_gateway_failures_in_a_row_eject_for_the_base_time() {
    let mut story = Story::usual(2);
    assert_eq!(story.row(0, BUSY, 4, 100), Change::None);
    let ejection = ejected(story.tell(0, BUSY, 100));
    let expected = Ejection {
        cause: Cause::ConsecutiveGatewayFailure,
        until: AT(10_100),
        times: 1,
    };
    assert_eq!(ejection, expected);
    assert_eq!(story.standings[0].ejection(AT(10_099)), Some(expected));
    assert_eq!(story.serving(10_099), [1]);
    assert_eq!(story.serving(10_100), [0, 1], "its term has ended");
    assert_eq!(story.standings[0].serving_since(AT(10_099)), None);
    assert_eq!(story.standings[0].serving_since(AT(10_500)), Some(AT(10_100)));
}

#[test]
fn a_success_breaks_a_row_and_another_kind_of_failure_breaks_a_gateway_row() {
    for breaker in [GOOD, Outcome::Status(500)] {
        let mut story = Story::usual(2);
        story.row(0, BUSY, 4, 1);
        story.tell(0, breaker, 2);
        assert_eq!(story.row(0, BUSY, 4, 3), Change::None);
        ejected(story.tell(0, BUSY, 4));
    }
}

#[test]
fn answers_of_500_eject_only_where_it_was_asked_for() {
    let bug = Outcome::Status(500);
    let mut story = Story::usual(2);
    assert_eq!(story.row(0, bug, 100, 1), Change::None);
    let plan = OutlierPlan {
        consecutive_5xx: 3,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(2, plan);
    assert_eq!(ejected(story.row(0, bug, 3, 1)).cause, Cause::Consecutive5xx);
}

#[test]
fn local_failures_make_a_row_of_their_own_unless_they_are_not_split() {
    let mut story = Story::usual(2);
    story.row(0, BUSY, 4, 1);
    assert_eq!(
        story.row(0, Outcome::Local, 4, 1),
        Change::None,
        "an answer between is none of a local row's"
    );
    let cause = ejected(story.tell(0, Outcome::Local, 1)).cause;
    assert_eq!(cause, Cause::ConsecutiveLocalOriginFailure);

    let plan = OutlierPlan {
        split_local: false,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(2, plan);
    story.row(0, BUSY, 3, 1);
    let cause = ejected(story.row(0, Outcome::Local, 2, 1)).cause;
    assert_eq!(cause, Cause::ConsecutiveGatewayFailure);
}

#[test]
fn a_lone_endpoint_is_never_ejected() {
    let mut story = Story::usual(1);
    assert_eq!(story.row(0, Outcome::Local, 50, 1), Change::None);
    assert_eq!(story.serving(1), [0]);
    let counters = story.outliers.counters();
    assert_eq!(
        (counters.ejections_overflow, counters.ejections_enforced_total),
        (10, 0)
    );
}

#[test]
fn no_more_than_the_share_is_out_but_one_always_may_be() {
    let mut story = Story::usual(4);
    (0..4).for_each(|endpoint| _ = story.row(endpoint, BUSY, 5, 1));
    assert_eq!(story.serving(1), [2, 3]);
    assert_eq!(story.outliers.ejections_active(), 2);
    assert_eq!(story.outliers.counters().ejections_overflow, 2);

    let with = |max_ejection_percent| OutlierPlan {
        max_ejection_percent,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(3, with(10));
    (0..3).for_each(|endpoint| _ = story.row(endpoint, BUSY, 5, 1));
    assert_eq!(story.serving(1), [1, 2]);
    let mut story = Story::new(3, with(0));
    story.row(0, BUSY, 5, 1);
    assert_eq!(story.serving(1), [0, 1, 2]);
}

#[test]
fn one_failure_sends_a_returning_endpoint_out_for_longer() {
    let mut story = Story::usual(2);
    story.row(0, BUSY, 5, 0);
    let again = ejected(story.tell(0, BUSY, 10_001));
    assert_eq!((again.times, again.until), (2, AT(30_001)));
    story.tell(0, GOOD, 30_002);
    assert_eq!(
        story.row(0, BUSY, 4, 30_003),
        Change::None,
        "it has returned: a row is needed again"
    );
}

#[test]
fn a_term_never_exceeds_the_longest_and_is_forgotten_while_it_serves_well() {
    let mut story = Story::usual(2);
    let mut at = 0;
    for _ in 0..100 {
        story.row(0, BUSY, 5, at);
        at = story.standings[0].ejection(AT(at)).unwrap().until.as_nanos() / 1_000_000;
    }
    assert_eq!(
        story.standings[0].times, 30,
        "300 s are reached after 30 times 10 s"
    );
    for _ in 0..40 {
        at += 3_000;
        story.tell(0, GOOD, at);
        story.sweep(at);
    }
    assert_eq!(story.standings[0].times, 0);
    assert_eq!(ejected(story.row(0, BUSY, 5, at)).times, 1);
}

#[test]
fn times_are_not_forgotten_while_it_mostly_fails() {
    let mut story = Story::usual(2);
    story.row(0, BUSY, 5, 0);
    for at in (11_000..60_000).step_by(1_000) {
        story.tell(0, GOOD, at);
        story.row(0, BUSY, 2, at);
        story.sweep(at);
    }
    assert_eq!(story.standings[0].times, 1);
}

#[test]
fn what_began_before_an_ejection_says_nothing_about_its_end() {
    let mut story = Story::usual(2);
    story.row(0, Outcome::Local, 5, 1_000);
    assert_eq!(story.tell_late(0, GOOD, 500, 2_000), Change::None);
    for at in 11_000..11_100 {
        assert_eq!(story.tell_late(0, Outcome::Local, 10_999, at), Change::None);
    }
    assert_eq!(story.serving(11_100), [0, 1]);
}

#[test]
fn after_a_total_outage_the_first_answer_takes_an_endpoint_back() {
    let plan = OutlierPlan {
        max_ejection_percent: 100,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(3, plan);
    (0..3).for_each(|endpoint| _ = story.row(endpoint, Outcome::Local, 5, 1_000));
    assert!(story.serving(1_000).is_empty());
    assert_eq!(story.tell(0, Outcome::Local, 1_500), Change::None, "still out");
    for endpoint in 0..3 {
        assert_eq!(story.tell(endpoint, GOOD, 2_000), Change::TakenBack);
    }
    assert_eq!(story.serving(2_000), [0, 1, 2]);
    assert_eq!(story.outliers.ejections_active(), 0);
    assert_eq!(story.standings[1].serving_since(AT(2_000)), Some(AT(2_000)));
}

#[test]
fn an_endpoint_that_was_out_of_reach_is_back_with_any_answer_and_a_failing_one_with_a_good_one() {
    let mut story = Story::usual(4);
    story.row(0, Outcome::Local, 5, 1);
    story.row(1, BUSY, 5, 1);
    assert_eq!(story.tell(0, Outcome::Status(500), 2), Change::TakenBack);
    assert_eq!(story.tell(1, Outcome::Status(500), 2), Change::None);
    assert_eq!(story.tell(1, Outcome::Status(404), 2), Change::TakenBack);
}

#[test]
fn the_endpoint_whose_success_rate_stands_out_is_ejected() {
    let plan = OutlierPlan {
        success_rate_factor: 1900,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(6, plan);
    story.sweep(0);
    for endpoint in 0..6 {
        story.row(endpoint, GOOD, 95, 1_000);
        story.row(
            endpoint,
            Outcome::Status(500),
            if endpoint == 4 { 40 } else { 5 },
            1_000,
        );
    }
    story.sweep(2_999);
    assert_eq!(story.serving(2_999).len(), 6, "the interval is not over");
    story.sweep(3_000);
    assert_eq!(story.serving(3_000), [0, 1, 2, 3, 5]);
    assert_eq!(story.enforced(Cause::SuccessRate), 1);
}

#[test]
fn equal_rates_eject_nobody_however_bad() {
    let plan = OutlierPlan {
        success_rate_factor: 1,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(7, plan);
    for endpoint in 0..7 {
        story.row(endpoint, GOOD, 70, 1);
        story.row(endpoint, Outcome::Status(500), 33, 1);
    }
    story.sweep(3_000);
    assert_eq!(story.serving(3_000).len(), 7);
}

#[test]
fn of_too_many_failing_endpoints_the_worst_are_ejected() {
    let plan = OutlierPlan {
        failure_percentage: 50,
        consecutive_local: 0,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(4, plan);
    story.sweep(0);
    for (endpoint, failures) in [60, 90, 20, 70].into_iter().enumerate() {
        story.row(endpoint, Outcome::Status(500), failures, 1);
        story.row(endpoint, GOOD, 100 - failures, 1);
    }
    story.sweep(3_000);
    assert_eq!(story.serving(3_000), [0, 2], "90 and 70 % are worse than 60 %");
    assert_eq!(story.outliers.counters().ejections_overflow, 1);

    story.row(2, Outcome::Local, 60, 4_000);
    story.sweep(6_000);
    assert_eq!(story.serving(6_000), [0, 2], "half of them are out already");
    assert_eq!(
        story.outliers.counters().detected[Cause::FailurePercentageLocalOrigin as usize],
        1
    );
}

#[test]
fn rates_of_few_requests_are_not_looked_at() {
    let plan = OutlierPlan {
        failure_percentage: 10,
        ..OutlierPlan::default()
    };
    let mut story = Story::new(2, plan);
    story.sweep(0);
    story.row(0, Outcome::Status(500), 49, 1);
    story.sweep(3_000);
    story.row(0, Outcome::Status(500), 49, 3_001);
    story.sweep(6_000);
    assert_eq!(
        story.serving(6_000),
        [0, 1],
        "each interval is counted for itself"
    );
}

#[test]
fn the_next_deadline_is_the_end_of_a_term_or_the_next_look() {
    let mut story = Story::usual(2);
    story.sweep(0);
    assert_eq!(story.outliers.next_deadline(), AT(3_000));
    story.row(0, BUSY, 5, 500);
    story.sweep(9_000);
    assert_eq!(story.outliers.next_deadline(), AT(10_500));
    assert_eq!(story.outliers.ejections_active(), 1);
    story.sweep(10_500);
    assert_eq!(story.outliers.ejections_active(), 0);
    assert_eq!(story.outliers.next_deadline(), AT(12_000));
}

#[test]
fn an_endpoint_that_leaves_while_it_is_out_makes_room_for_another_ejection() {
    let mut story = Story::usual(4);
    (0..2).for_each(|endpoint| _ = story.row(endpoint, BUSY, 5, 1));
    let gone = story.standings.remove(0);
    story.outliers.leave(gone);
    assert_eq!(story.outliers.ejections_active(), 1);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(BUSY),
        1 => Just(Outcome::Status(500)),
        2 => Just(Outcome::Local),
        1 => Just(GOOD),
    ]
}

proptest! {
    #[test]
    fn the_gauge_is_right_and_the_share_is_kept_whatever_happens(
        endpoints in 1_usize..9,
        percent in 0_u32..=100,
        split: bool,
        steps in prop::collection::vec((0_usize..9, outcome(), 0_u64..20_000, 0_u64..2_000, any::<bool>()), 1..300),
    ) {
        let plan = OutlierPlan {
            consecutive_5xx: 4,
            consecutive_gateway: 2,
            consecutive_local: 2,
            split_local: split,
            success_rate_factor: 1000,
            failure_percentage: 60,
            rate_requests_min: 3,
            max_ejection_percent: percent,
            ..OutlierPlan::default()
        };
        let mut story = Story::new(endpoints, plan);
        let mut at = 0;
        for (endpoint, outcome, wait, latency, sweep) in steps {
            at += wait / 10;
            story.tell_late(endpoint % endpoints, outcome, at.saturating_sub(latency), at);
            if sweep {
                story.sweep(at);
                let out = endpoints - story.serving(at).len();
                prop_assert_eq!(story.outliers.ejections_active() as usize, out);
                prop_assert!(story.outliers.next_deadline() > AT(at));
            }
            let out = endpoints - story.serving(at).len();
            let most = (endpoints * percent as usize / 100).max(usize::from(percent > 0));
            prop_assert!(out <= most, "{} of {} are out, at most {}", out, endpoints, most);
            prop_assert!(endpoints > 1 || out == 0);
            for standing in &story.standings {
                if let Some(ejection) = standing.ejection(AT(at)) {
                    prop_assert!(ejection.until <= AT(at) + story.plan.max_ejection);
                }
            }
        }
        let counters = story.outliers.counters();
        prop_assert_eq!(counters.enforced.iter().sum::<u64>(), counters.ejections_enforced_total);
        let detected = counters.detected.iter().sum::<u64>();
        prop_assert_eq!(detected, counters.ejections_enforced_total + counters.ejections_overflow);
        for standing in std::mem::take(&mut story.standings) {
            story.outliers.leave(standing);
        }
        prop_assert_eq!(story.outliers.ejections_active(), 0);
    }
}
