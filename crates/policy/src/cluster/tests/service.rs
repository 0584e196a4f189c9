//! Stories of endpoints that fail, leave, are checked, or bear only so much.

use super::*;
use crate::concurrency::adaptive::Adaptive;
use crate::deadline::Arrival;
use crate::evidence::End;
use crate::health::{Change, CheckResult, Failure};
use crate::plan::{AdaptivePlan, AutoTimeout, Balance, HealthPlan, HedgePlan, OutlierPlan, RetryBudgetPlan};
use crate::retry::attempts::{Outcome, Summary};

/// Nothing is parked or opened for good: each request is answered or fails at once.
impl Story {
    fn id(&self, at: usize) -> EndpointId {
        self.members.list[at].0
    }

    /// Where the next request goes.
    fn next(&mut self, at: u64) -> EndpointId {
        self.next_but(&[], at)
    }

    fn next_but(&mut self, avoid: &[EndpointId], at: u64) -> EndpointId {
        let ask = Ask {
            reuse: Reuse::Forbid,
            avoid,
            ..Ask::new(&self.members, &self.plan, ME)
        };
        let checkout = self.cluster.checkout(&ask, AT(at), &mut self.dice);
        let Checkout::Open {
            connection, endpoint, ..
        } = checkout
        else {
            panic!("{checkout:?} opens nothing")
        };
        self.cluster.connected(connection, None, AT(at));
        self.cluster.hand_back(connection, Handback::Closed, ME, AT(at));
        endpoint
    }

    fn tell(&mut self, endpoint: EndpointId, result: Outcome, reused: bool, at: u64) {
        let summary = Summary {
            endpoint: Some(endpoint),
            reused,
            raced: false,
            copy_whole: true,
            answered: false,
            arrival: Arrival::Whole,
            result,
        };
        self.cluster.on_attempt(&summary, AT(at), AT(at));
    }

    fn fail(&mut self, endpoint: EndpointId, times: u32, at: u64) {
        (0..times).for_each(|_| self.tell(endpoint, Outcome::Status(503), false, at));
    }
}

const RESET: Outcome = Outcome::Died {
    end: End::Reset,
    grade: Grade::Unknown,
};

fn all_may_be_ejected() -> ClusterPlan {
    ClusterPlan {
        outlier: OutlierPlan {
            max_ejection_percent: 100,
            ..OutlierPlan::default()
        },
        ..ClusterPlan::default()
    }
}

#[test]
fn an_endpoint_that_fails_in_a_row_gets_no_request_until_its_term_ends() {
    let mut story = Story::new(4, ClusterPlan::default());
    let bad = story.id(1);
    story.next(1);
    story.fail(bad, 5, 10);
    assert!((11..500).all(|at| story.next(at) != bad));
    let vitals = story.cluster.vitals(AT(500));
    assert_eq!((vitals.membership_healthy, vitals.ejections_active), (3, 1));
    let report = story.cluster.describe_endpoint(bad, AT(500)).unwrap();
    assert_eq!(report.service.flags(), "/failed_outlier_check");
    assert_eq!(
        (report.service.rq_error, report.service.success_rate()),
        (5, Some(0.0))
    );
    assert!((10_010..10_100).any(|at| story.next(at) == bad));
}

#[test]
fn a_race_is_no_fault_however_often_it_is_met() {
    let mut story = Story::new(4, ClusterPlan::default());
    let raced = story.id(0);
    story.next(1);
    (0..100).for_each(|at| story.tell(raced, RESET, true, at));
    assert!(!story.cluster.describe(AT(100))[0].service.failed_outlier_check);
    (100..105).for_each(|at| story.tell(raced, RESET, false, at));
    assert!(story.cluster.describe(AT(105))[0].service.failed_outlier_check);
}

#[test]
fn when_all_are_ejected_all_are_used_and_the_first_answer_takes_its_endpoint_back() {
    let mut story = Story::new(4, all_may_be_ejected());
    story.next(1);
    for place in 0..4 {
        let id = story.id(place);
        story.fail(id, 5, 10);
    }
    assert!(story.cluster.vitals(AT(11)).panics);
    let used = story.next(12);
    assert_eq!(story.cluster.counters.lb_healthy_panic, 1);
    story.tell(used, Outcome::Status(200), false, 13);
    assert_eq!(story.cluster.vitals(AT(13)).membership_healthy, 1);
    for place in 0..4 {
        let id = story.id(place);
        story.tell(id, Outcome::Status(200), false, 14);
    }
    let vitals = story.cluster.vitals(AT(14));
    assert_eq!((vitals.membership_healthy, vitals.panics), (4, false));
}

#[test]
fn an_endpoint_that_refuses_connections_is_avoided_for_a_second_unless_it_is_the_only_one() {
    for endpoints in [1, 3] {
        let mut story = Story::new(endpoints, ClusterPlan::default());
        let checkout = story.ask(ReplaySafety::Safe, Reuse::Forbid, 0);
        let Checkout::Open {
            connection,
            endpoint: refuses,
            ..
        } = checkout
        else {
            panic!("{checkout:?} opens nothing")
        };
        story.cluster.connect_failed(connection, false, AT(0));
        let others: Vec<_> = (1..999).map(|at| story.next(at)).collect();
        assert!(others.iter().all(|&id| (id == refuses) == (endpoints == 1)));
        assert!((1000..1100).any(|at| story.next(at) == refuses));
    }
}

#[test]
fn an_endpoint_whose_idle_connections_end_together_is_avoided_before_anybody_says_so() {
    let mut story = Story::new(2, ClusterPlan::default());
    let mut idle: Vec<_> = (0..6).flat_map(|n| story.idle(2, n * 700)).collect();
    let of = |story: &Story, id| story.cluster.connections.get(id).map(|one| one.endpoint);
    let leaves = of(&story, idle[0]).unwrap();
    idle.retain(|&id| of(&story, id) == Some(leaves));
    assert!(idle.len() > 2);
    for (&connection, at) in idle.iter().zip(5000..) {
        story.cluster.idle_ended(connection, IdleEnd::Fin, AT(at));
    }
    assert!((5010..5500).all(|at| story.next(at) != leaves));
    assert!(
        story
            .cluster
            .describe_endpoint(leaves, AT(5500))
            .unwrap()
            .service
            .leaving
    );
}

#[test]
fn checks_take_an_endpoint_out_and_in_again() {
    let one = std::num::NonZeroU32::MIN;
    let health = HealthPlan {
        unhealthy_threshold: one.saturating_add(1),
        ..checks(1000, 3000, 3000)
    };
    let plan = ClusterPlan {
        health: Some(health),
        ..ClusterPlan::default()
    };
    let shared = Arc::new(plan.clone());
    let mut story = Story::new(3, plan);
    story.next(0);
    let sick = story.id(2);
    let mut out_at = None;
    for at in (0..20_000).step_by(10) {
        if story.cluster.next_check() > AT(at) {
            continue;
        }
        for check in story.cluster.checks_due(&shared, AT(at), &mut story.dice) {
            assert_eq!(check.until, AT(at + 1000));
            let good = check.endpoint != sick || at > 10_000;
            let result = if good {
                CheckResult::Good
            } else {
                CheckResult::Failed(Failure::Network)
            };
            match story
                .cluster
                .on_check(check.endpoint, result, AT(at), &mut story.dice)
            {
                Change::None => {}
                Change::BecameUnhealthy => out_at = Some(at),
                Change::BecameHealthy => assert!(at > 10_000),
            }
        }
        let healthy = story.cluster.vitals(AT(at)).membership_healthy;
        assert!(out_at.is_none() || at > 10_000 || healthy == 2);
        assert!(healthy == 3 || story.next(at) != sick);
    }
    assert!(out_at.unwrap() < 7000, "two checks");
    assert_eq!(story.cluster.vitals(AT(20_000)).membership_healthy, 3);
    assert_eq!(
        story.cluster.health_counters().network_failure,
        story.cluster.health_counters().failure
    );
    let unchecked = Arc::default();
    assert!(
        story
            .cluster
            .checks_due(&unchecked, AT(20_000), &mut story.dice)
            .is_empty()
    );
    assert_eq!(story.cluster.next_check(), Moment::NEVER);
}

#[test]
fn a_check_that_is_never_answered_has_failed_when_its_time_is_up() {
    let plan = ClusterPlan {
        health: Some(checks(1000, 3000, 0)),
        ..ClusterPlan::default()
    };
    let shared = Arc::new(plan.clone());
    let mut story = Story::new(2, plan);
    story.next(0);
    assert_eq!(story.cluster.checks_due(&shared, AT(1), &mut story.dice).len(), 2);
    assert_eq!(story.cluster.next_check(), AT(1001));
    story.cluster.checks_due(&shared, AT(1001), &mut story.dice);
    assert_eq!(story.cluster.vitals(AT(1001)).membership_healthy, 0);
}

#[test]
fn an_adaptive_limit_sends_what_an_endpoint_does_not_bear_to_others_and_then_to_the_queue() {
    let adaptive = AdaptivePlan {
        most: 5,
        ..AdaptivePlan::default()
    };
    let plan = ClusterPlan {
        adaptive: Some(adaptive),
        ..ClusterPlan::default()
    };
    let mut story = Story::new(2, plan);
    story.next(0);
    let most: u32 = (0..2).map(|_| Adaptive::new(AT(0)).limit(&adaptive)).sum();
    for place in 0..2 {
        let id = story.id(place);
        story.tell(id, Outcome::Status(200), false, 0);
    }
    let opened: Vec<_> = (0..most).map(|_| story.open(1)).collect();
    assert!(
        story
            .cluster
            .describe(AT(1))
            .iter()
            .all(|one| Some(one.active) == one.adaptive_limit)
    );
    let ticket = queued(&story.get(2));
    story.answer(opened[0], 3);
    assert_eq!(story.cluster.granted(), Some(ticket));
}

#[test]
fn in_a_total_outage_retries_are_a_fifth_of_the_requests_in_the_first_second_too() {
    let plan = ClusterPlan::default();
    let mut story = Story::new(2, plan.clone());
    let mut attempts = 0;
    for at in (0..5000).step_by(2) {
        let Checkout::Open {
            connection, endpoint, ..
        } = story.get(at)
        else {
            panic!("not opened")
        };
        story.cluster.connect_failed(connection, true, AT(at));
        attempts += 1;
        for _ in 0..3 {
            if !story.cluster.admit_retry(&plan, AT(at)) {
                break;
            }
            story.next_but(&[endpoint], at);
            story.cluster.retry_ended(false);
            attempts += 1;
        }
    }
    assert!(
        attempts <= 2500 * 12 / 10 && attempts > 2500 * 11 / 10,
        "{attempts}"
    );
}

#[test]
fn what_a_client_was_waited_for_says_nothing_of_the_endpoint() {
    let plan = ClusterPlan {
        balance: Balance::PeakEwma,
        adaptive: Some(AdaptivePlan::default()),
        ..ClusterPlan::default()
    };
    let mut story = Story::new(2, plan);
    let (hedge, auto) = (HedgePlan::default(), AutoTimeout::default());
    story.cluster.hedge_wait(&hedge, AT(0));
    let id = story.id(0);
    let results = [Outcome::Status(200), Outcome::Status(503), RESET];
    for (at, result) in (0..90).zip(results.into_iter().cycle()) {
        let summary = Summary {
            endpoint: Some(id),
            reused: false,
            raced: false,
            copy_whole: true,
            answered: false,
            arrival: Arrival::Stalled,
            result,
        };
        story.cluster.on_attempt(&summary, AT(1000 + at), AT(30_000 + at));
    }
    assert_eq!(story.cluster.outlier_counters().ejections_enforced_total, 0);
    assert_eq!(
        story.cluster.hedge_wait(&hedge, AT(31_000)),
        None,
        "no answer's time is known"
    );
    assert_eq!(story.cluster.auto_timeout(&auto, AT(31_000)).timeout, auto.most);
    // A part of a request that its endpoint answered early took as long as its client did.
    let early = Summary {
        endpoint: Some(id),
        reused: false,
        raced: false,
        copy_whole: true,
        answered: false,
        arrival: Arrival::Coming,
        result: Outcome::Status(200),
    };
    (0..100).for_each(|at| story.cluster.on_attempt(&early, AT(1000 + at), AT(30_000 + at)));
    assert_eq!(story.cluster.hedge_wait(&hedge, AT(31_000)), None);
}

#[test]
fn a_hedge_waits_for_what_is_usual_and_a_timeout_is_a_multiple_of_it() {
    let mut story = Story::new(1, ClusterPlan::default());
    let (hedge, auto) = (HedgePlan::default(), AutoTimeout::default());
    assert_eq!(story.cluster.hedge_wait(&hedge, AT(0)), None);
    assert_eq!(story.cluster.auto_timeout(&auto, AT(0)).timeout, auto.most);
    let id = story.id(0);
    for at in 0..100 {
        let summary = Summary {
            endpoint: Some(id),
            reused: true,
            raced: false,
            copy_whole: true,
            answered: false,
            arrival: Arrival::Whole,
            result: Outcome::Status(200),
        };
        story.cluster.on_attempt(&summary, AT(1000 + at), AT(1400 + at));
    }
    let wait = story.cluster.hedge_wait(&hedge, AT(2000)).unwrap();
    assert!((400..430).contains(&wait.as_millis()), "{wait:?}");
    let timeout = story.cluster.auto_timeout(&auto, AT(2000)).timeout;
    assert!((2000..2150).contains(&timeout.as_millis()), "{timeout:?}");
}

#[test]
fn a_hedge_comes_after_those_who_wait_and_draws_on_the_retry_budget() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let mut story = Story::limited(1, limits);
    let plan = story.plan.clone();
    let connection = story.open(0);
    let waiting = queued(&story.get(0));
    assert!(!story.cluster.admit_hedge(&plan, AT(1)), "somebody waits");
    story.cluster.cancel(waiting, AT(1));
    let three = RetryBudgetPlan::Rate {
        share: 0.2,
        interval: Duration::from_secs(1),
        floor: 3,
        burst: 0,
    };
    let plan = ClusterPlan {
        retry_budget: three,
        ..(*plan).clone()
    };
    let admitted = (0..4).filter(|_| story.cluster.admit_hedge(&plan, AT(2))).count();
    assert_eq!(admitted, 3, "the budget's floor");
    (0..3).for_each(|hedge| story.cluster.hedge_ended(hedge == 0));
    let counters = &story.cluster.counters;
    assert_eq!((counters.rq_hedge, counters.rq_hedge_won), (3, 1));
    assert_eq!(
        (counters.rq_retry_success, story.cluster.gauges().rq_retry_active),
        (0, 0)
    );
    story.answer(connection, 3);
}

#[test]
fn who_waits_and_claims_when_the_wait_is_over_is_refused_without_being_called() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let mut story = Story::limited(1, limits);
    story.open(0);
    let ticket = queued(&story.get(0));
    let until = story.cluster.waits_until(ticket);
    assert_eq!(until, AT(0) + story.plan.queue.patience);
    let ms = until.since(AT(0)).as_millis() as u64;
    assert_eq!(story.claim(ticket, ms - 1), None);
    assert_eq!(story.claim(ticket, ms), Some(Checkout::Refuse(Refusal::Shed)));
}

#[test]
fn vitals_tell_how_near_the_limits_are() {
    let limits = Limits {
        max_connections: 2,
        max_pending_requests: 1,
        ..Limits::default()
    };
    let mut story = Story::limited(1, limits);
    story.idle(1, 0);
    let vitals = story.cluster.vitals(AT(0));
    assert_eq!(
        (vitals.remaining_cx, vitals.pool_used_percent, vitals.cx_open()),
        (2, 0, false)
    );
    (0..2).for_each(|_| _ = story.get(1));
    queued(&story.get(1));
    let vitals = story.cluster.vitals(AT(51));
    assert!(vitals.cx_open() && vitals.rq_pending_open() && !vitals.rq_open() && !vitals.rq_retry_open());
    assert_eq!((vitals.pool_used_percent, vitals.remaining_retries), (100, 50));
    assert_eq!(vitals.queue.oldest_wait, Duration::from_millis(50));
    assert!(!vitals.queue.overloaded && story.cluster.vitals(AT(101)).queue.overloaded);
}

#[test]
fn who_waits_is_refused_at_once_when_the_last_endpoint_goes_out_of_service() {
    let plan = ClusterPlan {
        panic_threshold: crate::plan::Percent(0),
        limits: Limits {
            max_connections: 2,
            ..Limits::default()
        },
        ..all_may_be_ejected()
    };
    let mut story = Story::new(2, plan);
    (0..2).for_each(|_| _ = story.open(1));
    let ticket = queued(&story.get(2));
    for place in 0..2 {
        assert_eq!(story.cluster.granted(), None);
        let id = story.id(place);
        story.fail(id, 5, 3);
    }
    assert_eq!(story.cluster.granted(), Some(ticket));
    let refused = Checkout::Refuse(Refusal::NoEndpoint);
    assert_eq!(story.claim(ticket, 3).as_ref(), Some(&refused));
    assert_eq!(story.get(4), refused);
}
