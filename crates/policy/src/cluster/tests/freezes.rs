//! Our own process stands still: nobody else is blamed for it.

use proptest::prelude::*;

use super::*;
use crate::deadline::Arrival;
use crate::evidence::End;
use crate::freeze::Freeze;
use crate::health::{CheckResult, HealthCounters};
use crate::latency::AutoAnswer;
use crate::plan::{AdaptivePlan, AutoTimeout, Balance, OutlierPlan, QueuePlan};
use crate::retry::attempts::{Outcome, Summary};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Everything on that follows what endpoints do.
fn watchful() -> ClusterPlan {
    ClusterPlan {
        balance: Balance::PeakEwma,
        adaptive: Some(AdaptivePlan::default()),
        outlier: OutlierPlan {
            consecutive_local: 3,
            ..OutlierPlan::default()
        },
        ..ClusterPlan::default()
    }
}

fn freeze(began: u64, ended: u64) -> Freeze {
    Freeze {
        began: AT(began),
        ended: AT(ended),
    }
}

impl Story {
    fn attempted(&mut self, result: Outcome, begun: u64, at: u64) {
        let summary = Summary {
            endpoint: Some(self.members.list[0].0),
            reused: false,
            raced: false,
            copy_whole: true,
            answered: false,
            arrival: Arrival::Whole,
            result,
        };
        self.cluster.on_attempt(&summary, AT(begun), AT(at));
    }

    /// Requests that take 10 ms each, one after the other from `from` to `to`.
    fn serve(&mut self, from: u64, to: u64) {
        for at in (from..to).step_by(10) {
            let connection = self.open(at);
            self.attempted(Outcome::Status(200), at, at + 10);
            self.answer(connection, at + 10);
        }
    }

    /// What the cluster makes of its first endpoint.
    fn view(&mut self, at: u64) -> (Option<u32>, bool, u64, u64, Option<Duration>, AutoAnswer) {
        let id = self.members.list[0].0;
        let told = self.cluster.describe_endpoint(id, AT(at)).unwrap();
        let peak = self.cluster.endpoint(id).peak.average();
        let timeout = self.cluster.auto_timeout(&AutoTimeout::default(), AT(at));
        (
            told.adaptive_limit,
            told.service.failed_outlier_check,
            told.timeouts,
            told.service.rq_error,
            peak,
            timeout,
        )
    }
}

proptest! {
    /// However long the freeze, and whatever became of what was in flight: the endpoint stands as before.
    #[test]
    fn what_was_in_flight_during_a_freeze_changes_nothing(
        fates in prop::collection::vec((0_u8..4, 0_u64..100), 1..64),
        length in 50_u64..3000,
    ) {
        let mut story = Story::new(3, watchful());
        story.view(1000);
        story.serve(1000, 8000);
        let before = story.view(8000);
        let end = 8100 + length;
        story.cluster.on_freeze(freeze(8100, end));
        for (fate, begun) in fates {
            let result = match fate {
                0 => Outcome::Died { end: End::TimedOut, grade: Grade::Unknown },
                1 => Outcome::ConnectTimedOut,
                2 => Outcome::Died { end: End::Reset, grade: Grade::Unknown },
                _ => Outcome::Status(200),
            };
            story.attempted(result, 8000 + begun, end);
        }
        prop_assert_eq!(story.view(end), before);
    }

    /// A freeze gives those who wait the time back, told by however many threads; and no more than that.
    #[test]
    fn who_waits_is_given_the_time_back(
        joined in 0_u64..900,
        length in 50_u64..3000,
        threads in 1_usize..4,
    ) {
        let mut story = Story::limited(1, Limits { max_connections: 1, ..Limits::default() });
        story.plan = Arc::new(ClusterPlan {
            queue: QueuePlan { patience: MS(1000), ..QueuePlan::default() },
            ..(*story.plan).clone()
        });
        let held = story.open(100);
        let ticket = queued(&story.get(100 + joined));
        let end = 1050 + length;
        for _ in 0..threads {
            story.cluster.on_freeze(freeze(1050, end));
        }
        let until = (1100 + joined + length).max(end + 100);
        prop_assert_eq!(story.cluster.waits_until(ticket), AT(until));
        let waited = AT(end + 1000).since(AT(until));
        prop_assert_eq!(story.cluster.queue(AT(end)).oldest_wait, waited, "it never waits longer than it may");
        prop_assert_eq!(story.claim(ticket, end), None, "its wait goes on");
        story.answer(held, end);
        let served = matches!(story.claim(ticket, end), Some(Checkout::Reuse(_)));
        prop_assert!(served);
    }
}

#[test]
fn who_gathered_during_a_freeze_is_no_overload() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let mut story = Story::limited(1, limits);
    let held = story.open(1000);
    story.cluster.on_freeze(freeze(1005, 1505));
    for at in 1505..1805 {
        queued(&story.get(at));
    }
    assert!(!story.cluster.queue(AT(1900)).overloaded);
    story.answer(held, 1900);
    assert!(
        story.cluster.queue(AT(2105)).overloaded,
        "as much time has passed"
    );
}

#[test]
fn an_end_that_a_freeze_hid_teaches_no_timer() {
    let mut story = Story::new(1, ClusterPlan::default());
    let at = story.teach(2000, IdleEnd::Fin);
    let id = story.members.list[0].0;
    let before = story.cluster.knowledge(id);
    let idle = story.idle(4, at);
    story.cluster.on_freeze(freeze(at + 1500, at + 2700));
    for connection in idle {
        assert!(story.cluster.idle_ended(connection, IdleEnd::Fin, AT(at + 2701)));
    }
    assert_eq!(story.cluster.knowledge(id), before);
    assert!(
        !story
            .cluster
            .describe_endpoint(id, AT(at + 2701))
            .unwrap()
            .service
            .leaving
    );
}

#[test]
fn a_close_met_by_a_request_that_was_written_who_knows_when_moves_no_limit() {
    let mut story = Story::new(1, ClusterPlan::default());
    let at = story.teach(2000, IdleEnd::Reset);
    let id = story.members.list[0].0;
    story.idle(1, at);
    let (connection, _) = reused(&story.post(at + 100));
    let before = story.cluster.knowledge(id);
    story.cluster.on_freeze(freeze(at + 101, at + 1200));
    let met = Handback::PeerClosed {
        how: IdleEnd::Reset,
        raced: true,
        proven: false,
    };
    story.cluster.hand_back(connection, met, ME, AT(at + 1200));
    assert_eq!(story.cluster.knowledge(id), before);
}

#[test]
fn a_check_that_ran_during_a_freeze_has_its_time_once_more() {
    let health = checks(1000, 3000, 0);
    let plan = ClusterPlan {
        health: Some(health),
        ..ClusterPlan::default()
    };
    let mut story = Story::new(1, plan);
    let begin = |story: &mut Story, at: u64| {
        let plan = story.plan.clone();
        story.cluster.checks_due(&plan, AT(at), &mut story.dice)
    };
    let at = 100;
    assert_eq!(begin(&mut story, at).len(), 1);
    assert!(
        begin(&mut story, at + 1500).is_empty(),
        "nobody asked for half a second"
    );
    assert_eq!(*story.cluster.health_counters(), HealthCounters::default());
    assert!(begin(&mut story, at + 2500).is_empty());
    let id = story.members.list[0].0;
    assert_eq!(story.cluster.health_counters().failure, 1, "but only once");
    let on_time = story
        .cluster
        .on_check(id, CheckResult::Good, AT(at + 2600), &mut story.dice);
    assert_eq!(on_time, crate::health::Change::BecameHealthy);
}
