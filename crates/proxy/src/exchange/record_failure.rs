//! What is told of attempts that did not answer: to the cluster, and in the record.

use policy::cluster::IdleEnd;
use policy::evidence::{End, Facts, grade};
use policy::outcome::{Attempt, AttemptEnd, Death, Ended, Rule, Sent};
use policy::retry::attempts::RetryReason;

use crate::cluster::ClusterHandle;
use crate::exchange::Exchange;
use crate::exchange::answer::read_off;
use crate::exchange::attempt_result::{AttemptOutcome, AttemptResult, AttemptTimes};
use crate::telemetry::record::{ClosedBy, Evidence, SavedBy};
use crate::upstream::body::Upload;
use crate::upstream::lease::Lease;

/// A request is sent again: what its record says if that saves it.
pub(crate) fn note_again(
    exchange: &mut Exchange<'_>,
    result: AttemptResult<'_>,
    (why, rule): (RetryReason, Rule),
    (cluster, upload): (&ClusterHandle, &Upload),
) {
    let raced = result.summary.reused && result.facts.is_some();
    tracing::debug!(
        "cluster {}: an attempt ended with {:?}; the request is sent again: {why:?}",
        cluster.shared.name,
        result.summary.result
    );
    let now = exchange.worker.clock.now();
    cluster.shared.with(|state| {
        state.cluster.on_again(why, raced);
        state
            .cluster
            .on_attempt(&result.summary, result.times.leased, now);
    });
    exchange.record.saved(Some(match why {
        RetryReason::Replay(_) => SavedBy::Proof,
        RetryReason::Retry | RetryReason::Race => SavedBy::Retry,
    }));
    match result.end {
        AttemptOutcome::Response(lease) => {
            note(
                exchange,
                attempt_on(&lease, result.times, AttemptEnd::Status(result.status)),
            );
            // Where the endpoint still takes the request, its connection is of no use.
            match upload.sent_whole() {
                true => read_off(lease, &exchange.work.response, exchange.work.request.method),
                false => lease.close(),
            }
        }
        _ => note_failed(exchange, result, cluster),
    }
    exchange.rule = rule;
}

/// One of two attempts at once has failed; the other one goes on.
pub(crate) fn note_lost(exchange: &mut Exchange<'_>, result: AttemptResult<'_>, cluster: &ClusterHandle) {
    let now = exchange.worker.clock.now();
    cluster.shared.with(|state| {
        state
            .cluster
            .on_attempt(&result.summary, result.times.leased, now);
    });
    note_failed(exchange, result, cluster);
}

/// Keeps the facts of an attempt that failed, and hands its connection back as closed.
pub(crate) fn note_failed(exchange: &mut Exchange<'_>, result: AttemptResult<'_>, cluster: &ClusterHandle) {
    let times = result.times;
    let attempt = match result.end {
        AttemptOutcome::Response(lease) => attempt_on(&lease, times, AttemptEnd::Status(result.status)),
        AttemptOutcome::Dead(lease) => {
            let facts = result.facts.expect("a dead attempt has facts");
            record_death(exchange, lease, times, &facts, cluster)
        }
        AttemptOutcome::Unconnected(attempt, _)
        | AttemptOutcome::NotHttp(attempt, ..)
        | AttemptOutcome::Late(attempt) => attempt,
    };
    note(exchange, attempt);
}

/// Keeps the facts of an attempt that failed.
pub(crate) fn note(exchange: &mut Exchange<'_>, attempt: Box<Attempt>) {
    let rule = exchange.rule;
    exchange.history().push(Attempt { rule, ..*attempt });
}

/// The facts of an attempt on this lease; its rule is filled in by whoever notes it.
pub(crate) fn attempt_on(lease: &Lease<'_>, times: AttemptTimes, end: AttemptEnd) -> Box<Attempt> {
    Box::new(Attempt {
        rule: Rule::First,
        endpoint: lease.name.clone(),
        idle_age: (!lease.fresh).then_some(lease.facts.idle_age),
        lasted: lease.now().since(times.leased),
        end,
    })
}

/// How much of the request an attempt has written.
pub(crate) fn sent(lease: &Lease<'_>) -> Sent {
    Sent {
        written: lease.written(),
        acknowledged: lease.acknowledged(),
    }
}

/// Who ended a connection, by the first sign of its end.
pub(crate) const fn death(end: End) -> Death {
    match end {
        End::Silent | End::TimedOut => Death::Silent,
        End::Reset => Death::Reset,
        End::Eof | End::BrokenPipe | End::Farewell | End::Stale => Death::Closed,
        End::ConnectFailed | End::Other => Death::Lost,
    }
}

/// Records what is known of a dead attempt, and hands its connection back as closed.
fn record_death(
    exchange: &mut Exchange<'_>,
    lease: Lease<'_>,
    times: AttemptTimes,
    facts: &Facts,
    cluster: &ClusterHandle,
) -> Box<Attempt> {
    let grade = grade(facts);
    let closed_by = match facts.end {
        End::Eof | End::BrokenPipe | End::Farewell => Some(ClosedBy::UpstreamFin),
        End::Reset => Some(ClosedBy::UpstreamReset),
        End::Silent | End::Stale | End::TimedOut => Some(ClosedBy::Local),
        End::ConnectFailed | End::Other => None,
    };
    if matches!(facts.end, End::Farewell | End::Stale) {
        lease.tell(|cluster, now| cluster.on_unsolicited(lease.endpoint, now));
    }
    let written = lease.written();
    exchange.record.connection(lease.facts);
    exchange.record.evidence(Evidence {
        grade: Some(grade),
        closed_by,
        acknowledged: facts.acknowledged,
        written: Some(written),
    });
    let ended = Ended {
        death: death(facts.end),
        facts: *facts,
        grade,
        written,
        knowledge: cluster
            .shared
            .with(|state| state.cluster.knowledge(lease.endpoint)),
    };
    let attempt = attempt_on(&lease, times, AttemptEnd::Died(ended));
    let proven = grade.proves_unapplied();
    match facts.end {
        End::Eof | End::BrokenPipe | End::Farewell => lease.peer_closed(IdleEnd::Fin, proven),
        End::Reset => lease.peer_closed(IdleEnd::Reset, proven),
        End::Stale => lease.peer_closed(IdleEnd::Unsolicited, proven),
        End::Silent => lease.fell_silent(),
        End::ConnectFailed | End::TimedOut | End::Other => lease.close(),
    }
    attempt
}
