//! How an exchange is answered: by the endpoint's response, or by a failure's verdict.

use std::time::Duration;

use policy::attempts::{Attempts, Why};
use policy::evidence::{End, Facts, Grade, Written};
use policy::filter::{Filter, HeaderEdits};
use policy::outcome::{Before, Failure, Story, Then, verdict};
use policy::time::Moment;
use wire::field::{Fields, Known};
use wire::h1::encode::{Announce, Upgrade};
use wire::h1::framing::{self, BodyLength};
use wire::hop;

use crate::body::{Download, DownloadEnd, Upload};
use crate::exchange::{Exchange, Next};
use crate::fault::Fault;
use crate::forward::{self, Inbound};
use crate::record::{ClosedBy, Evidence, SavedBy};
use crate::relay::{self, RelayEnd};
use crate::routing::{Accepted, Routed};
use crate::stats::ClusterTimes;
use crate::tried::{Limits, Tried, TriedEnd};
use crate::tunnel::{self, Mouth};
use crate::upstream::connect::ConnectError;
use crate::upstream::connection::Connection;
use crate::upstream::lease::Lease;
use crate::upstream::shared::ClusterHandle;
use crate::view::Editable;

/// What the answer to a request depends on besides the last attempt.
pub(crate) struct Setting<'a> {
    pub(crate) accepted: &'a Accepted,
    pub(crate) routed: &'a Routed<'a>,
    pub(crate) cluster: &'a ClusterHandle,
    pub(crate) limits: &'a Limits,
    pub(crate) times: &'a ClusterTimes,
}

/// Answers with what the last attempt left.
pub(crate) async fn settle(
    exchange: &mut Exchange<'_>,
    tried: Tried<'_>,
    attempts: &Attempts<'_>,
    setting: &Setting<'_>,
    upload: &mut Upload,
) -> Result<Next, Fault> {
    let Tried {
        facts, begun, end, ..
    } = tried;
    let before = Before {
        made_again: attempts.made_again() > 0,
        limit_exceeded: attempts.limit_exceeded(),
    };
    match end {
        TriedEnd::Response(lease) => respond(exchange, lease, begun, setting, upload).await,
        TriedEnd::Unconnected(ConnectError::TimedOut(_)) => Err(Fault {
            before,
            ..Failure::ConnectTimeout.into()
        }),
        TriedEnd::Unconnected(error) => Err(Fault {
            before,
            ..Failure::Connect {
                reason: error.reason().into(),
            }
            .into()
        }),
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
            Err(Fault {
                failure,
                before,
                sentence: sentence.into(),
                raced: !fresh,
            })
        }
        TriedEnd::NotHttp(error, first) => Err(Fault {
            before,
            ..Fault::not_http(error, &first)
        }),
        TriedEnd::Late => Err(Fault {
            before,
            ..Failure::PerTryTimeout.into()
        }),
    }
}

/// What may be behind a fresh connection that is closed without a byte.
const SILENT_CLOSE: &str = "; a server of another protocol (uwsgi, FastCGI, TLS) closes like this too: \
                            check that the endpoint speaks HTTP/1.1 in plain text";

/// A request is sent again: what its record says if that saves it.
pub(crate) fn note_again(exchange: &mut Exchange<'_>, tried: Tried<'_>, why: Why, cluster: &ClusterHandle) {
    let raced = tried.summary.reused && tried.facts.is_some();
    cluster.shared.with(|state| state.cluster.on_again(why, raced));
    exchange.record.saved(Some(match why {
        Why::Replay(_) => SavedBy::Proof,
        Why::Retry => SavedBy::Retry,
    }));
    if let (TriedEnd::Dead(lease), Some(facts)) = (tried.end, tried.facts) {
        let then = if why == Why::Retry {
            Then::Retried
        } else {
            Then::Replayed
        };
        let sentence = bury(exchange, lease, &facts, cluster, then);
        exchange.record.sentence(&sentence);
    }
}

/// Records what is known of a dead attempt, and hands its connection back as closed.
fn bury(
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
    // A FIN after the request was received is an answer of a kind, not an idle timer.
    let raced = !lease.fresh && (grade.proves_unapplied() || (reset && grade == Grade::Unknown));
    match closed_by {
        Some(ClosedBy::UpstreamFin | ClosedBy::UpstreamReset) => lease.peer_closed(reset, raced),
        _ => lease.close(),
    }
    let mut sentence = policy::outcome::sentence(&story);
    if let Some(advice) = policy::outcome::advice(&story) {
        sentence.push_str("; to prevent it: ");
        sentence.push_str(advice);
    }
    sentence
}

/// Relays the endpoint's response.
async fn respond(
    exchange: &mut Exchange<'_>,
    mut lease: Lease<'_>,
    begun: Moment,
    setting: &Setting<'_>,
    upload: &mut Upload,
) -> Result<Next, Fault> {
    let service = exchange.worker.clock.now().since(begun);
    let method = exchange.work.request.method;
    let response = &mut exchange.work.response;
    let status = response.status;
    let from =
        framing::response_body(response, method).map_err(|error| Fault::bad_response(error.sentence()))?;
    hop::check_connection(&response.fields).map_err(|error| Fault::bad_response(error.sentence()))?;
    let stays = framing::keeps_alive(response.version, &response.fields);
    let hint = response.fields.get(Known::KeepAlive).and_then(timeout_hint);
    let edits = setting
        .routed
        .filters()
        .filter_map(response_edits)
        .chain(setting.routed.cors.as_ref());
    edits.for_each(|edits| edits.apply(&mut Editable(&mut response.fields)));
    setting
        .cluster
        .shared
        .with(|state| state.cluster.on_response(status, service));
    exchange.record.status(status);
    exchange.record.upstream_service_time(service);
    exchange.record.details("via_upstream");
    if status == 101 {
        return Box::pin(upgrade(exchange, lease, service, setting)).await;
    }
    let to = from.relayed_to(exchange.work.request.version);
    exchange.body_read = upload.received_whole();
    let persists = exchange.persists() && to != BodyLength::UntilClose;
    write_head(exchange, to, exchange.announce(persists), Upgrade::Drop, service);
    let sent = exchange.client.connection.transport.sent();
    let mut download = Download::new(from, to);
    let bounds = setting.limits.relay(exchange.client, setting.cluster);
    let relayed = relay::run(
        exchange.worker,
        &mut lease,
        upload,
        &mut download,
        exchange.client,
        bounds,
    )
    .await;
    exchange.record.bytes_sent(download.relayed);
    exchange.record.bytes_received(upload.received);
    if let Err(end) = relayed {
        lease.close();
        if exchange.client.connection.transport.sent() == sent
            && let RelayEnd::Upstream(end) = end
        {
            exchange.client.out.clear();
            return Err(unanswered(&end));
        }
        if to == BodyLength::UntilClose {
            // A close would be taken for the body's end (RFC 9112, 8).
            exchange.client.reset_on_drop();
        }
        return Ok(cut(exchange, setting.cluster, end));
    }
    setting
        .times
        .rq_time
        .record(exchange.worker.clock.now().since(begun));
    let surplus = !lease.input.is_empty();
    if stays && from != BodyLength::UntilClose && upload.sent_whole() && !surplus {
        lease.recycle(hint);
    } else {
        lease.close();
    }
    let limit = exchange.client.snapshot.downstream().body_timeout;
    if !exchange.client.flush(limit).await {
        return Ok(cut(exchange, setting.cluster, RelayEnd::ClientLeft));
    }
    Ok(if persists { Next::Request } else { Next::Close })
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
) -> Result<Next, Fault> {
    if !setting.accepted.upgrade
        || !is_asked_for(&exchange.work.request.fields, &exchange.work.response.fields)
    {
        let sentence = "The endpoint answered 101 to a request that did not ask for this upgrade.";
        return Err(Fault::bad_response(sentence));
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
