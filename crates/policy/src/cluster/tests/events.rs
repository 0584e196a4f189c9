//! What the log is told of endpoints that fail and come back.

use super::*;
use crate::deadline::Arrival;
use crate::evidence::End;
use crate::plan::OutlierPlan;
use crate::retry::attempts::{Outcome, Summary};

const REFUSED: Outcome = Outcome::Died {
    end: End::ConnectFailed,
    grade: Grade::Unsent,
};

impl Story {
    fn ends(&mut self, place: usize, result: Outcome, at: u64) {
        let summary = Summary {
            endpoint: Some(self.members.list[place].0),
            reused: false,
            raced: false,
            copy_whole: true,
            answered: false,
            arrival: Arrival::Whole,
            result,
        };
        self.cluster.on_attempt(&summary, AT(at), AT(at));
    }

    fn kinds(&mut self) -> Vec<EventKind> {
        self.cluster
            .take_events()
            .into_iter()
            .map(|event| event.kind)
            .collect()
    }

    fn report(&self, at: u64) -> EndpointReport {
        self.cluster.describe(AT(at)).remove(0)
    }
}

#[test]
fn an_ejection_and_its_end_are_told_once_each_with_the_last_error() {
    let mut story = Story::new(3, ClusterPlan::default());
    story.cluster.reap(&story.plan.clone(), AT(1));
    story
        .cluster
        .connect_error(story.members.list[0].0, "connection refused".into());
    (0..5).for_each(|_| story.ends(0, REFUSED, 10));
    assert!(story.cluster.has_news());
    let events = story.cluster.take_events();
    let term = OutlierPlan::default().base_ejection;
    let cause = crate::outlier::Cause::ConsecutiveLocalOriginFailure;
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(
        events[0].kind,
        EventKind::Ejected {
            cause,
            term,
            times: 1
        }
    );
    assert_eq!((events[0].healthy, events[0].total), (2, 3));
    assert!(events[0].last_error.is_some(), "{events:#?}");
    let plan = story.plan.clone();
    story.cluster.reap(&plan, AT(5000));
    assert_eq!(story.kinds(), [], "nothing happens within the term");
    story.cluster.reap(&plan, AT(10_020));
    assert_eq!(story.kinds(), [EventKind::Returned]);
    story.ends(0, REFUSED, 10_030);
    let kinds = story.kinds();
    assert!(
        matches!(kinds[..], [EventKind::Ejected { times: 2, .. }]),
        "{kinds:?}"
    );
}

#[test]
fn a_return_is_told_even_if_a_failure_ejects_the_endpoint_again_before_it_is_swept() {
    let mut story = Story::new(3, ClusterPlan::default());
    (0..5).for_each(|_| story.ends(0, REFUSED, 10));
    story.kinds();
    story.ends(0, REFUSED, 10_050);
    assert!(matches!(story.kinds()[..], [EventKind::Ejected { times: 2, .. }]));
}

#[test]
fn a_lone_endpoint_that_is_dead_is_shown_failing_and_told_once() {
    let mut story = Story::new(1, ClusterPlan::default());
    assert_eq!(story.report(5).service.flags(), "healthy");
    story
        .cluster
        .connect_error(story.members.list[0].0, "connection refused".into());
    story.ends(0, REFUSED, 10);
    let report = story.report(1010);
    assert_eq!(
        report.service.flags(),
        "/failing",
        "one failure without an answer is enough to say so"
    );
    let error = report.last_error.unwrap();
    assert_eq!(
        (error.words.as_str(), error.ago.as_millis(), error.in_a_row),
        ("connection refused", 1000, 1)
    );
    assert_eq!(story.cluster.vitals(AT(11)).membership_failing, 1);
    (0..50).for_each(|_| story.ends(0, REFUSED, 20));
    let kinds = story.kinds();
    assert!(
        matches!(kinds[..], [EventKind::Kept { only: true, .. }]),
        "{kinds:?}"
    );
    story.ends(0, Outcome::Status(200), 30);
    assert_eq!(story.kinds(), [EventKind::Recovered { failures: 51 }]);
    let report = story.report(40);
    assert_eq!(report.service.flags(), "healthy");
    assert!(report.last_error.is_some(), "what it failed at last stays known");
}

#[test]
fn one_bad_answer_among_good_ones_is_no_failing_endpoint() {
    let mut story = Story::new(1, ClusterPlan::default());
    story.ends(0, Outcome::Status(500), 10);
    assert_eq!(story.report(11).service.flags(), "healthy");
    (0..4).for_each(|_| story.ends(0, Outcome::Status(500), 12));
    assert_eq!(story.report(13).service.flags(), "/failing");
    assert_eq!(story.report(13).last_error.unwrap().words, "it answered 500");
}

#[test]
fn an_endpoint_that_fails_and_recovers_all_the_time_does_not_fill_the_log() {
    let mut story = Story::new(1, ClusterPlan::default());
    for round in 0..100 {
        (0..5).for_each(|_| story.ends(0, REFUSED, 10 + round * 10));
        story.ends(0, Outcome::Status(200), 15 + round * 10);
    }
    assert_eq!(story.kinds().len(), 2);
}
