//! What is told of attempts that did not answer: to the cluster, and in the record.

use policy::attempts::Why;
use policy::evidence::{End, Facts};
use policy::outcome::{Story, Then};

use crate::exchange::Exchange;
use crate::record::{ClosedBy, Evidence, SavedBy};
use crate::tried::{Tried, TriedEnd};
use crate::upstream::lease::Lease;
use crate::upstream::shared::ClusterHandle;

/// A request is sent again: what its record says if that saves it.
pub(crate) fn note_again(exchange: &mut Exchange<'_>, tried: Tried<'_>, why: Why, cluster: &ClusterHandle) {
    let raced = tried.summary.reused && tried.facts.is_some();
    tracing::debug!(
        "cluster {}: an attempt ended with {:?}; the request is sent again: {why:?}",
        cluster.shared.name,
        tried.summary.result
    );
    let now = exchange.worker.clock.now();
    cluster.shared.with(|state| {
        state.cluster.on_again(why, raced);
        state.cluster.on_attempt(&tried.summary, tried.begun.leased, now);
    });
    let (saved_by, then) = match why {
        Why::Replay(_) => (SavedBy::Proof, Then::Replayed),
        Why::Retry | Why::Race => (SavedBy::Retry, Then::Retried),
    };
    exchange.record.saved(Some(saved_by));
    note_end(exchange, tried, cluster, then);
}

/// One of two attempts at once has failed; the other one goes on.
pub(crate) fn note_lost(exchange: &mut Exchange<'_>, tried: Tried<'_>, cluster: &ClusterHandle) {
    let now = exchange.worker.clock.now();
    cluster.shared.with(|state| {
        state.cluster.on_attempt(&tried.summary, tried.begun.leased, now);
    });
    note_end(exchange, tried, cluster, Then::Retried);
}

fn note_end(exchange: &mut Exchange<'_>, tried: Tried<'_>, cluster: &ClusterHandle, then: Then) {
    if let (TriedEnd::Dead(lease), Some(facts)) = (tried.end, tried.facts) {
        let sentence = bury(exchange, lease, &facts, cluster, then);
        exchange.record.sentence(&sentence);
    }
}

/// Records what is known of a dead attempt, and hands its connection back as closed.
pub(crate) fn bury(
    exchange: &mut Exchange<'_>,
    lease: Lease<'_>,
    facts: &Facts,
    cluster: &ClusterHandle,
    then: Then,
) -> String {
    let grade = policy::evidence::grade(facts);
    let closed_by = match facts.end {
        End::Eof | End::BrokenPipe => Some(ClosedBy::UpstreamFin),
        End::Reset => Some(ClosedBy::UpstreamReset),
        End::Silent | End::TimedOut => Some(ClosedBy::Local),
        End::ConnectFailed | End::Other => None,
    };
    exchange.record.evidence(Evidence {
        grade: Some(grade),
        closed_by,
        acknowledged: facts.acknowledged,
        written: Some(lease.written()),
    });
    let story = Story {
        facts: *facts,
        grade,
        idle_age: (!lease.fresh).then_some(lease.facts.idle_age),
        request_bytes: lease.written(),
        knowledge: cluster
            .shared
            .with(|state| state.cluster.knowledge(lease.endpoint)),
        then,
    };
    let reset = facts.end == End::Reset;
    match closed_by {
        Some(ClosedBy::UpstreamFin | ClosedBy::UpstreamReset) => {
            lease.peer_closed(reset, grade.proves_unapplied());
        }
        _ if facts.end == End::Silent => lease.fell_silent(),
        _ => lease.close(),
    }
    let mut sentence = policy::outcome::sentence(&story);
    if let Some(advice) = policy::outcome::advice(&story) {
        sentence.push_str("; to prevent it: ");
        sentence.push_str(advice);
    }
    sentence
}
