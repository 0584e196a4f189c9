//! How an exchange is answered: by the endpoint's response, or by a failure's verdict.

mod pending_body;
mod unused;

use std::pin::Pin;
use std::time::Duration;

use policy::evidence::{End, Grade};
use policy::outcome::{Attempt, AttemptEnd, Before, Cause, Death, Ending, Failure, Stop};
use policy::plan::MalformedResponses;
use policy::retry::attempts::{Outcome, Summary};
use wire::field::Known;
use wire::h1::encode::{self, OutboundHead, Persistence, Upgrade};
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::HeadError;
use wire::h1::mend;
use wire::h1::protocol::Protocol;
use wire::hop::{self, Named};

use crate::cluster::ClusterHandle;
use crate::downstream::client::{Client, Sent};
use crate::engine::{self, Stage};
use crate::exchange::affinity::Affinity;
use crate::exchange::attempt_result::{AttemptOutcome, AttemptResult, AttemptTimes, Limits};
use crate::exchange::explain::SoFar;
use crate::exchange::fault::Fault;
use crate::exchange::forward;
use crate::exchange::record_failure::{attempt_on, death, note, note_failed};
use crate::exchange::route::{Accepted, OwnersFields, ResolvedRoute};
use crate::exchange::{Exchange, Next};
use crate::snapshot::rate_limit;
use crate::telemetry::stats::ClusterTimes;
use crate::upstream::body::{Begin, Download, DownloadEnd, Upload};
use crate::upstream::connect::ConnectError;
use crate::upstream::lease::Lease;
use crate::upstream::protocol_probe;
use pending_body::PendingBody;
pub(crate) use unused::read_off;

/// What an exchange's attempts and its answer depend on.
pub(crate) struct ExchangeContext<'a> {
    pub(crate) accepted: &'a Accepted,
    pub(crate) resolved: &'a ResolvedRoute<'a>,
    pub(crate) own: &'a OwnersFields<'a>,
    pub(crate) cluster: &'a ClusterHandle,
    pub(crate) affinity: &'a Affinity,
    pub(crate) limits: Limits,
    pub(crate) times: &'a ClusterTimes,
}

/// What the last attempt left: a response, whose head is there.
///
/// # Errors
/// A failure, which is told to the cluster and the record.
pub(crate) fn conclude<'c>(
    exchange: &mut Exchange<'_>,
    result: AttemptResult<'c>,
    before: Before,
    context: &ExchangeContext<'_>,
) -> Result<Answer<'c>, Box<Fault>> {
    let (summary, times) = (result.summary, result.times);
    let failure = match &result.end {
        AttemptOutcome::Response(_) => None,
        AttemptOutcome::Unconnected(_, ConnectError::TimedOut) => Some(Failure::ConnectTimeout.into()),
        AttemptOutcome::Unconnected(_, error) => Some(Failure::Connect(error.fault()).into()),
        AttemptOutcome::Dead(lease) if begun_by(&result) && is_no_response(lease.input.data()) => {
            let first = lease.input.data();
            Some(Fault::not_http(HeadError::NotHttp(Protocol::judge(first)), first))
        }
        AttemptOutcome::Dead(lease) => {
            let end = result.facts.map_or(End::Other, |facts| facts.end);
            Some(Fault {
                raced: !lease.fresh,
                ..Failure::Died(death(end)).into()
            })
        }
        AttemptOutcome::NotHttp(_, error, first) => Some(Fault::not_http(*error, first)),
        AttemptOutcome::Late(_) => Some(Failure::PerTryTimeout.into()),
    };
    if let Some(fault) = failure {
        let now = exchange.worker.clock.now();
        let shared = &context.cluster.shared;
        doubt_protocol(exchange, &result, &fault.failure, context);
        shared.with(|state| state.cluster.on_attempt(&summary, times.leased, now));
        note_failed(exchange, result, context.cluster);
        return Err(Box::new(Fault { before, ..fault }));
    }
    match result.end {
        AttemptOutcome::Response(lease) => Ok(Answer {
            lease,
            summary,
            times,
            before,
        }),
        _ => unreachable!("what is no response is a failure"),
    }
}

/// Whether an attempt died after bytes had come that may be its response's.
fn begun_by(result: &AttemptResult<'_>) -> bool {
    result.facts.is_some_and(|facts| facts.response_begun)
}

/// Whether bytes that came before an end are no beginning of a response.
fn is_no_response(first: &[u8]) -> bool {
    let first = first.trim_ascii_start();
    !first.is_empty() && !first.starts_with(b"HTTP/") && !b"HTTP/".starts_with(first)
}

/// Notes what an endpoint speaks that does not answer as an HTTP server does, or asks it.
#[cold]
fn doubt_protocol(
    exchange: &Exchange<'_>,
    result: &AttemptResult<'_>,
    failure: &Failure,
    context: &ExchangeContext<'_>,
) {
    let Some(endpoint) = result.summary.endpoint else {
        return;
    };
    let without_a_byte = |lease: &Lease<'_>| lease.fresh && !begun_by(result) && lease.written() > 0;
    let in_doubt = match (failure, &result.end) {
        (Failure::OtherProtocol { name }, _) => {
            let now = exchange.worker.clock.now();
            let shared = &context.cluster.shared;
            return shared.with(|state| state.cluster.speaks(endpoint, name, now));
        }
        (Failure::Died(Death::Closed | Death::Reset), AttemptOutcome::Dead(lease)) => without_a_byte(lease),
        (Failure::BadResponse { .. }, AttemptOutcome::Dead(_)) => true,
        (_, AttemptOutcome::NotHttp(_, HeadError::NotHttp(_), _)) => true,
        _ => false,
    };
    if in_doubt {
        let snapshot = &exchange.client.snapshot;
        protocol_probe::ask(exchange.worker, snapshot, context.resolved.cluster, endpoint);
    }
}

/// An endpoint's response whose head is there.
pub(crate) struct Answer<'a> {
    lease: Lease<'a>,
    summary: Summary,
    times: AttemptTimes,
    before: Before,
}

/// How far an answer has come.
pub(crate) enum Answered<F> {
    /// All of it is in the client's buffer.
    Whole(Next),
    /// The rest is to be waited for: in a box, so that requests which wait for their turn hold no room
    /// for it.
    Pending(Pin<Box<F>>),
}

/// A response that is relayed: how its body is framed, and what follows it.
struct Relaying<'a> {
    lease: Lease<'a>,
    /// When its attempt began.
    times: AttemptTimes,
    from: BodyLength,
    to: BodyLength,
    /// Trailers that end here.
    named: Named,
    /// Whether the endpoint keeps its connection, and how long.
    stays: bool,
    hint: Option<Duration>,
    /// Whether the client's connection may carry another request.
    persists: bool,
}

/// Answers with the endpoint's response. Nearly every small one is here whole, and the client takes it at
/// once: then nothing is left to wait for.
///
/// # Errors
/// It cannot be relayed, and the client has not had a byte of it.
pub(crate) fn respond<'r>(
    exchange: &'r mut Exchange<'_>,
    answer: Answer<'r>,
    context: &'r ExchangeContext<'_>,
    upload: &'r mut Upload,
) -> Result<Answered<impl Future<Output = Result<Next, Box<Fault>>>>, Box<Fault>> {
    let mut relaying = validate_response(exchange, answer, context)?;
    let pending = if exchange.work.response.status == 101 {
        PendingBody::Upgrade(relaying)
    } else {
        exchange.body_read = upload.received_whole();
        relaying.persists = exchange.persists() && relaying.to != BodyLength::UntilClose;
        let persistence = exchange.persistence(relaying.persists);
        write_head(exchange, relaying.to, persistence, Upgrade::Drop);
        match relaying.begin(exchange, upload) {
            Ok(Begin::Pending(download)) => PendingBody::Body(relaying, download),
            Ok(Begin::Whole(count)) => {
                return Ok(Answered::Whole(relaying.end(exchange, context, upload, count)));
            }
            Err(end) => {
                let attempt = attempt_on(&relaying.lease, relaying.times, AttemptEnd::BadResponse);
                relaying.lease.close();
                return Err(pending_body::unanswered(exchange, attempt, &end));
            }
        }
    };
    Ok(Answered::Pending(Box::pin(
        pending.run(exchange, context, upload),
    )))
}

/// Sends an answer that is whole in the client's buffer, behind what others read in this turn.
pub(crate) async fn send(exchange: &mut Exchange<'_>, context: &ExchangeContext<'_>, next: Next) -> Next {
    engine::stage(Stage::WriteDownstream).await;
    let mut sent = exchange.client.send();
    if sent == Sent::Part {
        let limit = exchange.client.downstream().body_timeout;
        sent = Box::pin(exchange.client.flush(limit)).await;
    }
    if sent == Sent::All {
        return next;
    }
    exchange.record.bytes_sent(exchange.client.taken_of_body());
    let so_far = SoFar {
        sent: exchange.record.sent(),
        ..SoFar::default()
    };
    pending_body::cut(exchange, context, pending_body::not_taken(sent), so_far)
}

/// Whether a response can be relayed; what this says of its endpoint is told to the cluster. Its head is
/// edited as the route asks.
fn validate_response<'a>(
    exchange: &mut Exchange<'_>,
    answer: Answer<'a>,
    context: &ExchangeContext<'_>,
) -> Result<Relaying<'a>, Box<Fault>> {
    let Answer {
        lease,
        summary,
        times,
        before,
    } = answer;
    let now = exchange.worker.clock.now();
    let service = now.since(times.asked);
    let method = exchange.work.request.method;
    let response = &mut exchange.work.response;
    let status = response.status;
    let read = match context.cluster.plan.malformed_responses {
        MalformedResponses::Mend => mend::response_body(response, method),
        MalformedResponses::Refuse => framing::response_body(response, method),
    };
    let from = read.map_err(|error| error.sentence()).and_then(|from| {
        match hop::check_connection(&response.fields) {
            Ok(()) => Ok(from),
            Err(error) => Err(error.sentence()),
        }
    });
    context.cluster.shared.with(|state| {
        let cluster = &mut state.cluster;
        if from.is_ok() {
            cluster.on_attempt(&summary, times.leased, now);
            cluster.on_response(status, service);
            if let Some(mend) = response.mended {
                cluster.on_mended(lease.endpoint, mend.sentence(), now);
            }
            cluster.counters.rq_retry_limit_exceeded += u64::from(before.limit_exceeded);
        } else {
            cluster.on_attempt(&malformed(summary), times.leased, now);
        }
    });
    let from = match from {
        Ok(from) => from,
        Err(what) => {
            note(exchange, attempt_on(&lease, times, AttemptEnd::BadResponse));
            exchange.stopped(Some(Stop::Begun));
            return Err(Fault::bad_response(what).into());
        }
    };
    let mut details = "via_upstream";
    if exchange.history.is_some() {
        details = tell_history(
            exchange,
            attempt_on(&lease, times, AttemptEnd::Status(status)),
            context,
        );
    }
    let response = &mut exchange.work.response;
    let relaying = Relaying {
        lease,
        times,
        from,
        to: from.relayed_to(exchange.work.request.version),
        named: if from == BodyLength::Chunked {
            Named::by(&response.fields)
        } else {
            Named::NOTHING
        },
        stays: response.mended.is_none() && framing::keeps_alive(response.version, &response.fields),
        hint: response.fields.get(Known::KeepAlive).and_then(timeout_hint),
        persists: false,
    };
    let date = exchange.worker.calendar.date(now);
    forward::arrive_back(response, service, &date);
    context.affinity.tell(&mut response.fields);
    if let Some(quota) = &context.resolved.quota {
        rate_limit::tell(quota, &mut response.fields);
    }
    let connection = &exchange.client.connection;
    context.own.apply(
        response,
        (&exchange.work.request, &exchange.work.authority),
        (connection.peer, connection.local),
        &mut exchange.work.value,
    );
    exchange.record.status(status);
    exchange.record.upstream_service_time(service);
    exchange.record.details(details);
    Ok(relaying)
}

impl Relaying<'_> {
    /// A body's beginning: taken if all of it has come with its head, which small ones mostly have.
    fn begin(&mut self, exchange: &mut Exchange<'_>, upload: &Upload) -> Result<Begin, DownloadEnd> {
        let framing = (self.from, self.to);
        let named = std::mem::take(&mut self.named);
        let client = &mut *exchange.client;
        if !upload.sent_whole() {
            return Ok(Begin::Pending(Box::new(Download::new(
                framing,
                named,
                client.out.len(),
            ))));
        }
        let limits = client.snapshot.limits(client.listener);
        let Client { out, body_tail, .. } = client;
        Download::begin(framing, named, (&mut self.lease.input, limits), (out, body_tail))
    }

    /// The body's `count` bytes have gone on: its connection is free for others.
    fn end(
        self,
        exchange: &mut Exchange<'_>,
        context: &ExchangeContext<'_>,
        upload: &Upload,
        count: u64,
    ) -> Next {
        exchange.record.bytes_sent(count);
        exchange.record.bytes_received(upload.received);
        let time = exchange.worker.clock.now().since(self.times.asked);
        context.times.rq_time.record(time);
        let surplus = !self.lease.input.is_empty();
        if self.stays && self.from != BodyLength::UntilClose && upload.sent_whole() && !surplus {
            self.lease.recycle(self.hint);
        } else {
            if surplus {
                let endpoint = self.lease.endpoint;
                self.lease
                    .tell(|cluster, now| cluster.on_unsolicited(endpoint, now));
            }
            self.lease.close();
        }
        if self.persists { Next::Request } else { Next::Close }
    }
}

/// Attempts that failed came before this response, or another one was to follow it and was not made: what
/// is told of it, and its details.
#[cold]
fn tell_history(
    exchange: &mut Exchange<'_>,
    attempt: Box<Attempt>,
    context: &ExchangeContext<'_>,
) -> &'static str {
    let AttemptEnd::Status(status) = attempt.end else {
        unreachable!("a response has a status");
    };
    let cause = match exchange.history().stop {
        Some(Stop::OwnersUsedUp) => Cause::AttemptsUsedUp,
        Some(Stop::Budget) => Cause::RetryBudgetSpent,
        Some(Stop::Parallel) => Cause::RetriesOverflow,
        _ => {
            let rule = exchange.rule;
            exchange.history().current = Some(rule);
            exchange.explain(Some(context), Ending::Saved, SoFar::default(), "");
            return "via_upstream";
        }
    };
    note(exchange, attempt);
    exchange.record.flags(cause.flags());
    exchange.explain(Some(context), Ending::Answered(status), SoFar::default(), "");
    cause.row().details
}

/// What an attempt comes to whose response can not be relayed.
fn malformed(summary: Summary) -> Summary {
    Summary {
        result: Outcome::Died {
            end: End::Other,
            grade: Grade::Begun,
        },
        ..summary
    }
}

fn write_head(exchange: &mut Exchange<'_>, body: BodyLength, persistence: Persistence, upgrade: Upgrade) {
    let outbound = OutboundHead {
        body,
        persistence,
        upgrade,
    };
    encode::response(&mut exchange.client.out, &exchange.work.response, &outbound);
}

/// `timeout=N` of a `Keep-Alive` field, in seconds.
fn timeout_hint(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let parameter = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let seconds = name
            .trim()
            .eq_ignore_ascii_case("timeout")
            .then(|| value.trim().trim_matches('"'))?;
        seconds.parse().ok().map(Duration::from_secs)
    };
    text.split([',', ';']).find_map(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keep_alive_hint_is_found_among_other_parameters() {
        let hint = |text: &str| timeout_hint(text.as_bytes()).map(|hint| hint.as_secs());
        assert_eq!(hint("timeout=5"), Some(5));
        assert_eq!(hint("max=100, Timeout=\"15\""), Some(15));
        assert_eq!(hint("max=100"), None);
        assert_eq!(hint("timeout=soon"), None);
    }
}
