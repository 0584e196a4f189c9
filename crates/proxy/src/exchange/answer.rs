//! How an exchange is answered: by the endpoint's response, or by a failure's verdict.

mod rest;
mod unused;

use std::pin::Pin;
use std::time::Duration;

use policy::evidence::{End, Grade};
use policy::outcome::{Attempt, AttemptEnd, Before, Cause, Death, Ending, Failure, Stop};
use policy::plan::MalformedResponses;
use policy::retry::attempts::{Outcome, Summary};
use wire::field::Known;
use wire::h1::encode::{self, Announce, Onward, Upgrade};
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::HeadError;
use wire::h1::mend;
use wire::h1::protocol::Protocol;
use wire::hop::{self, Named};

use crate::downstream::client::{Client, Sent};
use crate::engine::{self, Stage};
use crate::exchange::affinity::Affinity;
use crate::exchange::explain::SoFar;
use crate::exchange::fault::Fault;
use crate::exchange::forward;
use crate::exchange::postmortem::{attempt_on, death, note, note_failed};
use crate::exchange::routing::{Accepted, OwnersFields, Routed};
use crate::exchange::tried::{Begun, Limits, Tried, TriedEnd};
use crate::exchange::{Exchange, Next};
use crate::snapshot::rate_limit;
use crate::telemetry::stats::ClusterTimes;
use crate::upstream::body::{Begin, Download, DownloadEnd, Upload};
use crate::upstream::connect::ConnectError;
use crate::upstream::lease::Lease;
use crate::upstream::protocol_probe;
use crate::upstream::shared::ClusterHandle;
use rest::Rest;
pub(crate) use unused::read_off;

/// What an exchange's attempts and its answer depend on.
pub(crate) struct Setting<'a> {
    pub(crate) accepted: &'a Accepted,
    pub(crate) routed: &'a Routed<'a>,
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
pub(crate) fn settle<'c>(
    exchange: &mut Exchange<'_>,
    tried: Tried<'c>,
    before: Before,
    setting: &Setting<'_>,
) -> Result<Answer<'c>, Box<Fault>> {
    let (summary, begun) = (tried.summary, tried.begun);
    let failure = match &tried.end {
        TriedEnd::Response(_) => None,
        TriedEnd::Unconnected(_, ConnectError::TimedOut) => Some(Failure::ConnectTimeout.into()),
        TriedEnd::Unconnected(_, ConnectError::Refused(error)) => {
            Some(Failure::Connect(ConnectError::fault(error)).into())
        }
        TriedEnd::Dead(lease) if begun_by(&tried) && is_no_response(lease.input.data()) => {
            let first = lease.input.data();
            Some(Fault::not_http(HeadError::NotHttp(Protocol::judge(first)), first))
        }
        TriedEnd::Dead(lease) => {
            let end = tried.facts.map_or(End::Other, |facts| facts.end);
            Some(Fault {
                raced: !lease.fresh,
                ..Failure::Died(death(end)).into()
            })
        }
        TriedEnd::NotHttp(_, error, first) => Some(Fault::not_http(*error, first)),
        TriedEnd::Late(_) => Some(Failure::PerTryTimeout.into()),
    };
    if let Some(fault) = failure {
        let now = exchange.worker.clock.now();
        let shared = &setting.cluster.shared;
        doubt_protocol(exchange, &tried, &fault.failure, setting);
        shared.with(|state| state.cluster.on_attempt(&summary, begun.leased, now));
        note_failed(exchange, tried, setting.cluster);
        return Err(Box::new(Fault { before, ..fault }));
    }
    match tried.end {
        TriedEnd::Response(lease) => Ok(Answer {
            lease,
            summary,
            begun,
            before,
        }),
        _ => unreachable!("what is no response is a failure"),
    }
}

/// Whether an attempt died after bytes had come that may be its response's.
fn begun_by(tried: &Tried<'_>) -> bool {
    tried.facts.is_some_and(|facts| facts.response_begun)
}

/// Whether bytes that came before an end are no beginning of a response.
fn is_no_response(first: &[u8]) -> bool {
    let first = first.trim_ascii_start();
    !first.is_empty() && !first.starts_with(b"HTTP/") && !b"HTTP/".starts_with(first)
}

/// Notes what an endpoint speaks that does not answer as an HTTP server does, or asks it.
#[cold]
fn doubt_protocol(exchange: &Exchange<'_>, tried: &Tried<'_>, failure: &Failure, setting: &Setting<'_>) {
    let Some(endpoint) = tried.summary.endpoint else {
        return;
    };
    let without_a_byte = |lease: &Lease<'_>| lease.fresh && !begun_by(tried) && lease.written() > 0;
    let in_doubt = match (failure, &tried.end) {
        (Failure::OtherProtocol { name }, _) => {
            let now = exchange.worker.clock.now();
            let shared = &setting.cluster.shared;
            return shared.with(|state| state.cluster.speaks(endpoint, name, now));
        }
        (Failure::Died(Death::Closed | Death::Reset), TriedEnd::Dead(lease)) => without_a_byte(lease),
        (Failure::BadResponse { .. }, TriedEnd::Dead(_)) => true,
        (_, TriedEnd::NotHttp(_, HeadError::NotHttp(_), _)) => true,
        _ => false,
    };
    if in_doubt {
        let snapshot = &exchange.client.snapshot;
        protocol_probe::ask(exchange.worker, snapshot, setting.routed.cluster, endpoint);
    }
}

/// An endpoint's response whose head is there.
pub(crate) struct Answer<'a> {
    lease: Lease<'a>,
    summary: Summary,
    begun: Begun,
    before: Before,
}

/// How far an answer has come.
pub(crate) enum Answered<F> {
    /// All of it is in the client's buffer.
    Whole(Next),
    /// The rest is to be waited for: in a box, so that requests which wait for their turn hold no room
    /// for it.
    Rest(Pin<Box<F>>),
}

/// A response that is relayed: how its body is framed, and what follows it.
struct Relaying<'a> {
    lease: Lease<'a>,
    /// When its attempt began.
    begun: Begun,
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
    setting: &'r Setting<'_>,
    upload: &'r mut Upload,
) -> Result<Answered<impl Future<Output = Result<Next, Box<Fault>>>>, Box<Fault>> {
    let mut relaying = judge(exchange, answer, setting)?;
    let rest = if exchange.work.response.status == 101 {
        Rest::Upgrade(relaying)
    } else {
        exchange.body_read = upload.received_whole();
        relaying.persists = exchange.persists() && relaying.to != BodyLength::UntilClose;
        let announce = exchange.announce(relaying.persists);
        write_head(exchange, relaying.to, announce, Upgrade::Drop);
        match relaying.begin(exchange, upload) {
            Ok(Begin::Rest(download)) => Rest::Body(relaying, download),
            Ok(Begin::Whole(count)) => {
                return Ok(Answered::Whole(relaying.end(exchange, setting, upload, count)));
            }
            Err(end) => {
                let attempt = attempt_on(&relaying.lease, relaying.begun, AttemptEnd::BadResponse);
                relaying.lease.close();
                return Err(rest::unanswered(exchange, attempt, &end));
            }
        }
    };
    Ok(Answered::Rest(Box::pin(rest.run(exchange, setting, upload))))
}

/// Sends an answer that is whole in the client's buffer, behind what others read in this turn.
pub(crate) async fn send(exchange: &mut Exchange<'_>, setting: &Setting<'_>, next: Next) -> Next {
    engine::stage(Stage::Answer).await;
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
    rest::cut(exchange, setting, rest::not_taken(sent), so_far)
}

/// Whether a response can be relayed; what this says of its endpoint is told to the cluster. Its head is
/// edited as the route asks.
fn judge<'a>(
    exchange: &mut Exchange<'_>,
    answer: Answer<'a>,
    setting: &Setting<'_>,
) -> Result<Relaying<'a>, Box<Fault>> {
    let Answer {
        lease,
        summary,
        begun,
        before,
    } = answer;
    let now = exchange.worker.clock.now();
    let service = now.since(begun.asked);
    let method = exchange.work.request.method;
    let response = &mut exchange.work.response;
    let status = response.status;
    let read = match setting.cluster.plan.malformed_responses {
        MalformedResponses::Mend => mend::response_body(response, method),
        MalformedResponses::Refuse => framing::response_body(response, method),
    };
    let from = read.map_err(|error| error.sentence()).and_then(|from| {
        match hop::check_connection(&response.fields) {
            Ok(()) => Ok(from),
            Err(error) => Err(error.sentence()),
        }
    });
    setting.cluster.shared.with(|state| {
        let cluster = &mut state.cluster;
        if from.is_ok() {
            cluster.on_attempt(&summary, begun.leased, now);
            cluster.on_response(status, service);
            if let Some(mend) = response.mended {
                cluster.on_mended(lease.endpoint, mend.sentence(), now);
            }
            cluster.counters.rq_retry_limit_exceeded += u64::from(before.limit_exceeded);
        } else {
            cluster.on_attempt(&malformed(summary), begun.leased, now);
        }
    });
    let from = match from {
        Ok(from) => from,
        Err(what) => {
            note(exchange, attempt_on(&lease, begun, AttemptEnd::BadResponse));
            exchange.stopped(Some(Stop::Begun));
            return Err(Fault::bad_response(what).into());
        }
    };
    let mut details = "via_upstream";
    if exchange.history.is_some() {
        details = tell_history(
            exchange,
            attempt_on(&lease, begun, AttemptEnd::Status(status)),
            setting,
        );
    }
    let response = &mut exchange.work.response;
    let relaying = Relaying {
        lease,
        begun,
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
    setting.affinity.tell(&mut response.fields);
    if let Some(quota) = &setting.routed.quota {
        rate_limit::tell(quota, &mut response.fields);
    }
    let connection = &exchange.client.connection;
    setting.own.apply(
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
            return Ok(Begin::Rest(Box::new(Download::new(
                framing,
                named,
                client.out.len(),
            ))));
        }
        let limits = client.snapshot.limits(client.listener);
        let Client { out, behind, .. } = client;
        Download::begin(framing, named, (&mut self.lease.input, limits), (out, behind))
    }

    /// The body's `count` bytes have gone on: its connection is free for others.
    fn end(self, exchange: &mut Exchange<'_>, setting: &Setting<'_>, upload: &Upload, count: u64) -> Next {
        exchange.record.bytes_sent(count);
        exchange.record.bytes_received(upload.received);
        let time = exchange.worker.clock.now().since(self.begun.asked);
        setting.times.rq_time.record(time);
        let surplus = !self.lease.input.is_empty();
        if self.stays && self.from != BodyLength::UntilClose && upload.sent_whole() && !surplus {
            self.lease.recycle(self.hint);
        } else {
            self.lease.close();
        }
        if self.persists { Next::Request } else { Next::Close }
    }
}

/// Attempts that failed came before this response, or another one was to follow it and was not made: what
/// is told of it, and its details.
#[cold]
fn tell_history(exchange: &mut Exchange<'_>, attempt: Box<Attempt>, setting: &Setting<'_>) -> &'static str {
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
            exchange.explain(Some(setting), Ending::Saved, SoFar::default(), "");
            return "via_upstream";
        }
    };
    note(exchange, attempt);
    exchange.record.flags(cause.flags());
    exchange.explain(Some(setting), Ending::Answered(status), SoFar::default(), "");
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

fn write_head(exchange: &mut Exchange<'_>, body: BodyLength, announce: Announce, upgrade: Upgrade) {
    let onward = Onward {
        body,
        announce,
        upgrade,
    };
    encode::response(&mut exchange.client.out, &exchange.work.response, &onward);
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
