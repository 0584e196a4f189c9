//! How an exchange is answered: by the endpoint's response, or by a failure's verdict.

use std::time::Duration;

use policy::attempts::{Outcome, Summary};
use policy::evidence::{End, Grade, Written};
use policy::filter::{Filter, HeaderEdits};
use policy::outcome::{Before, Failure, Flag, FlagSet, Then, verdict};
use wire::field::{Fields, Known};
use wire::h1::encode::{Announce, Upgrade};
use wire::h1::framing::{self, BodyLength};
use wire::hop;

use crate::affinity::Affinity;
use crate::body::{Begin, Download, DownloadEnd, Upload};
use crate::downstream::client::Client;
use crate::exchange::{Exchange, Next};
use crate::fault::Fault;
use crate::forward::{self, Inbound};
use crate::postmortem::bury;
use crate::rate_limit;
use crate::relay::{self, RelayEnd};
use crate::routing::{Accepted, Routed};
use crate::stats::ClusterTimes;
use crate::tried::{Begun, Limits, Tried, TriedEnd};
use crate::tunnel::{self, Mouth};
use crate::upstream::connect::ConnectError;
use crate::upstream::connection::Connection;
use crate::upstream::lease::Lease;
use crate::upstream::shared::ClusterHandle;
use crate::view::Editable;

/// What an exchange's attempts and its answer depend on.
pub(crate) struct Setting<'a> {
    pub(crate) accepted: &'a Accepted,
    pub(crate) routed: &'a Routed<'a>,
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
    let Tried {
        summary,
        facts,
        begun,
        end,
    } = tried;
    if !matches!(end, TriedEnd::Response(_)) {
        let now = exchange.worker.clock.now();
        let shared = &setting.cluster.shared;
        shared.with(|state| state.cluster.on_attempt(&summary, begun.leased, now));
    }
    let fault = match end {
        TriedEnd::Response(lease) => {
            return Ok(Answer {
                lease,
                summary,
                begun,
                before,
            });
        }
        TriedEnd::Unconnected(ConnectError::TimedOut(_)) => Failure::ConnectTimeout.into(),
        TriedEnd::Unconnected(error) => Failure::Connect {
            reason: error.reason().into(),
        }
        .into(),
        TriedEnd::Dead(lease) => {
            let facts = facts.expect("a dead attempt has facts");
            let fresh = lease.fresh;
            let mut sentence = bury(exchange, lease, &facts, setting.cluster, Then::Answered);
            if fresh && facts.written == Written::WholeHead {
                sentence.push_str(SILENT_CLOSE);
            }
            let failure = match facts.end {
                End::Silent => Failure::Silent,
                End::Reset => Failure::Died {
                    reason: Some("connection reset by peer".into()),
                },
                _ => Failure::Died { reason: None },
            };
            Fault {
                failure,
                before,
                sentence: sentence.into(),
                raced: !fresh,
            }
        }
        TriedEnd::NotHttp(error, first) => Fault::not_http(error, &first),
        TriedEnd::Late => Failure::PerTryTimeout.into(),
    };
    Err(Box::new(Fault { before, ..fault }))
}

/// What may be behind a fresh connection that is closed without a byte.
const SILENT_CLOSE: &str = "; a server of another protocol (uwsgi, FastCGI, TLS) closes like this too: \
                            check that the endpoint speaks HTTP/1.1 in plain text";

/// An endpoint's response whose head is there.
pub(crate) struct Answer<'a> {
    lease: Lease<'a>,
    summary: Summary,
    begun: Begun,
    before: Before,
}

/// A response that can be relayed: how its body is framed, and what follows it.
struct Framed {
    from: BodyLength,
    /// Time from the request to it.
    service: Duration,
    /// Whether the endpoint keeps its connection, and how long.
    stays: bool,
    hint: Option<Duration>,
}

/// Relays the endpoint's response.
pub(crate) async fn respond(
    exchange: &mut Exchange<'_>,
    answer: Answer<'_>,
    setting: &Setting<'_>,
    upload: &mut Upload,
) -> Result<Next, Box<Fault>> {
    let framed = judge(exchange, &answer, setting)?;
    let Answer { mut lease, begun, .. } = answer;
    if exchange.work.response.status == 101 {
        return Box::pin(upgrade(exchange, lease, framed.service, setting)).await;
    }
    let to = framed.from.relayed_to(exchange.work.request.version);
    exchange.body_read = upload.received_whole();
    let persists = exchange.persists() && to != BodyLength::UntilClose;
    write_head(
        exchange,
        to,
        exchange.announce(persists),
        Upgrade::Drop,
        framed.service,
    );
    let sent = exchange.client.connection.transport.sent();
    let download = Download::new(framed.from, to);
    let relayed = match begin(download, &mut lease, exchange.client, upload) {
        Ok(Begin::Whole(relayed)) => (relayed, Ok(())),
        Err(end) => (0, Err(RelayEnd::Upstream(end))),
        // In a box, so that requests which wait for their turn do not hold room for it.
        Ok(Begin::Rest(download)) => {
            let bounds = setting.limits.relay(exchange.client, setting.cluster);
            let worker = exchange.worker;
            Box::pin(relay::run(
                worker,
                &mut lease,
                upload,
                download,
                exchange.client,
                bounds,
            ))
            .await
        }
    };
    exchange.record.bytes_sent(relayed.0);
    exchange.record.bytes_received(upload.received);
    if let Err(end) = relayed.1 {
        lease.close();
        let nothing_sent = exchange.client.connection.transport.sent() == sent;
        return cut_short(exchange, end, nothing_sent, to, setting);
    }
    let time = exchange.worker.clock.now().since(begun.asked);
    setting.times.rq_time.record(time);
    let surplus = !lease.input.is_empty();
    if framed.stays && framed.from != BodyLength::UntilClose && upload.sent_whole() && !surplus {
        lease.recycle(framed.hint);
    } else {
        lease.close();
    }
    let limit = exchange.client.snapshot.downstream().body_timeout;
    if !exchange.client.flush(limit).await {
        return Ok(cut(exchange, setting.cluster, RelayEnd::ClientLeft));
    }
    Ok(if persists { Next::Request } else { Next::Close })
}

/// Whether a response can be relayed; what this says of its endpoint is told to the cluster. Its head is
/// edited as the route asks.
fn judge(
    exchange: &mut Exchange<'_>,
    answer: &Answer<'_>,
    setting: &Setting<'_>,
) -> Result<Framed, Box<Fault>> {
    let (begun, before) = (answer.begun, answer.before);
    let now = exchange.worker.clock.now();
    let service = now.since(begun.asked);
    let method = exchange.work.request.method;
    let response = &mut exchange.work.response;
    let status = response.status;
    let from = framing::response_body(response, method)
        .map_err(|error| error.sentence())
        .and_then(|from| match hop::check_connection(&response.fields) {
            Ok(()) => Ok(from),
            Err(error) => Err(error.sentence()),
        });
    setting.cluster.shared.with(|state| {
        let cluster = &mut state.cluster;
        if from.is_ok() {
            cluster.on_attempt(&answer.summary, begun.leased, now);
            cluster.on_response(status, service);
            cluster.counters.rq_retry_limit_exceeded += u64::from(before.limit_exceeded);
        } else {
            cluster.on_attempt(&malformed(answer.summary), begun.leased, now);
        }
    });
    let from = from.map_err(Fault::bad_response)?;
    let framed = Framed {
        from,
        service,
        stays: framing::keeps_alive(response.version, &response.fields),
        hint: response.fields.get(Known::KeepAlive).and_then(timeout_hint),
    };
    let edits = setting
        .routed
        .filters()
        .filter_map(response_edits)
        .chain(setting.routed.cors.as_ref());
    edits.for_each(|edits| edits.apply(&mut Editable(&mut response.fields)));
    setting.affinity.tell(&mut response.fields);
    if let Some(quota) = &setting.routed.quota {
        rate_limit::tell(quota, &mut response.fields);
    }
    if before.limit_exceeded {
        exchange.record.flags(FlagSet::NONE.with(Flag::URX));
    }
    exchange.record.status(status);
    exchange.record.upstream_service_time(service);
    exchange.record.details("via_upstream");
    Ok(framed)
}

/// A body's beginning: taken if all of it has come with its head, which small ones mostly have.
fn begin(
    download: Download,
    lease: &mut Lease<'_>,
    client: &mut Client,
    upload: &Upload,
) -> Result<Begin, DownloadEnd> {
    if !upload.sent_whole() {
        return Ok(Begin::Rest(download));
    }
    download.begin(&mut lease.input, &mut client.out, &client.snapshot.limits)
}

/// A relay ended early: what the client can still be told.
fn cut_short(
    exchange: &mut Exchange<'_>,
    end: RelayEnd,
    nothing_sent: bool,
    to: BodyLength,
    setting: &Setting<'_>,
) -> Result<Next, Box<Fault>> {
    if nothing_sent && let RelayEnd::Upstream(end) = end {
        exchange.client.out.clear();
        return Err(unanswered(&end).into());
    }
    if to == BodyLength::UntilClose {
        // A close would be taken for the body's end (RFC 9112, 8).
        exchange.client.reset_on_drop();
    }
    Ok(cut(exchange, setting.cluster, end))
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

/// A response ended early before the client had a byte of it: it can still be told.
fn unanswered(end: &DownloadEnd) -> Fault {
    match end {
        DownloadEnd::Malformed(error) => Fault::bad_response(error.sentence()),
        DownloadEnd::Upstream | DownloadEnd::ClientLeft => {
            Fault::bad_response("The endpoint closed the connection inside its response.")
        }
    }
}

/// A response could not be relayed to its end: the client's connection is closed without one.
fn cut(exchange: &mut Exchange<'_>, cluster: &ClusterHandle, end: RelayEnd) -> Next {
    let failure = match end {
        RelayEnd::Upstream(DownloadEnd::Malformed(error)) => {
            exchange.record.sentence(error.sentence());
            Failure::ProtocolInBody
        }
        RelayEnd::Upstream(_) => Failure::Truncated,
        RelayEnd::ClientLeft => Failure::DownstreamLeft,
        RelayEnd::ClientStuck => Failure::IdleDownstream,
        RelayEnd::Idle => Failure::IdleUpstream,
        RelayEnd::Late => Failure::LateTimeout,
    };
    cluster
        .shared
        .with(|state| state.cluster.on_failure(&failure, Before::default(), false));
    let verdict = verdict(&failure, Before::default());
    exchange.record.flags(verdict.flags);
    exchange.record.details(&verdict.details);
    exchange.client.out.clear();
    Next::Drop
}

/// The endpoint switched protocols: bytes go both ways from here.
async fn upgrade(
    exchange: &mut Exchange<'_>,
    mut lease: Lease<'_>,
    service: Duration,
    setting: &Setting<'_>,
) -> Result<Next, Box<Fault>> {
    if !setting.accepted.upgrade
        || !is_asked_for(&exchange.work.request.fields, &exchange.work.response.fields)
    {
        let sentence = "The endpoint answered 101 to a request that did not ask for this upgrade.";
        return Err(Fault::bad_response(sentence).into());
    }
    write_head(
        exchange,
        BodyLength::None,
        Announce::Nothing,
        Upgrade::Keep,
        service,
    );
    let limit = exchange.client.snapshot.downstream().body_timeout;
    if !exchange.client.flush(limit).await {
        return Ok(cut(exchange, setting.cluster, RelayEnd::ClientLeft));
    }
    let client = &mut *exchange.client;
    let Connection { transport, input, .. } = &mut *lease;
    let carried = tunnel::run(
        exchange.worker,
        &client.alarm,
        setting.cluster.plan.timeouts.stream_idle,
        Mouth {
            transport: &client.connection.transport,
            input: &mut client.input,
        },
        Mouth { transport, input },
    )
    .await;
    exchange.record.bytes_received(carried.up);
    exchange.record.bytes_sent(carried.down);
    Ok(Next::Drop)
}

/// Whether the protocol that the endpoint switches to is among those asked for (RFC 9110, 7.8).
fn is_asked_for(request: &Fields, response: &Fields) -> bool {
    let mut switched = response.tokens(Known::Upgrade).peekable();
    switched.peek().is_some()
        && switched.all(|to| {
            request
                .tokens(Known::Upgrade)
                .any(|asked| asked.eq_ignore_ascii_case(to))
        })
}

fn write_head(
    exchange: &mut Exchange<'_>,
    body: BodyLength,
    announce: Announce,
    upgrade: Upgrade,
    service: Duration,
) {
    let service_ms = u64::try_from(service.as_millis()).unwrap_or(u64::MAX);
    let inbound = Inbound {
        body,
        announce,
        upgrade,
        service_ms,
    };
    let date = exchange.worker.calendar.date(exchange.worker.clock.now());
    let work = &mut *exchange.work;
    forward::response(
        &mut exchange.client.out,
        &work.response,
        inbound,
        &date,
        &mut work.scratch,
    );
}

fn response_edits(filter: &Filter) -> Option<&HeaderEdits> {
    match filter {
        Filter::ResponseHeaders(edits) => Some(edits),
        _ => None,
    }
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
