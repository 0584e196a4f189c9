//! How an exchange is answered: by the endpoint's response, or by a failure's verdict.

mod rest;

use std::pin::Pin;
use std::time::Duration;

use policy::attempts::{Outcome, Summary};
use policy::evidence::{End, Grade, Written};
use policy::outcome::{Before, Death, Failure, Flag, FlagSet, Then};
use policy::time::Moment;
use wire::field::Known;
use wire::h1::encode::{self, Announce, Onward, Upgrade};
use wire::h1::framing::{self, BodyLength};
use wire::hop;

use crate::affinity::Affinity;
use crate::body::{Begin, Download, DownloadEnd, Upload};
use crate::downstream::client::{Client, Sent};
use crate::engine::{self, Stage};
use crate::exchange::{Exchange, Next};
use crate::fault::Fault;
use crate::forward;
use crate::postmortem::bury;
use crate::rate_limit;
use crate::relay::RelayEnd;
use crate::routing::{Accepted, OwnersFields, Routed};
use crate::stats::ClusterTimes;
use crate::tried::{Begun, Limits, Tried, TriedEnd};
use crate::upstream::connect::ConnectError;
use crate::upstream::lease::Lease;
use crate::upstream::shared::ClusterHandle;
use rest::Rest;

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
        TriedEnd::Unconnected(ConnectError::TimedOut) => Failure::ConnectTimeout.into(),
        TriedEnd::Unconnected(ConnectError::Refused(error)) => {
            Failure::Connect(ConnectError::fault(&error)).into()
        }
        TriedEnd::Dead(lease) => {
            let facts = facts.expect("a dead attempt has facts");
            let fresh = lease.fresh;
            let mut sentence = bury(exchange, lease, &facts, setting.cluster, Then::Answered);
            if fresh && facts.written == Written::WholeHead {
                sentence.push_str(SILENT_CLOSE);
            }
            let death = match facts.end {
                End::Silent | End::TimedOut => Death::Silent,
                End::Reset => Death::Reset,
                End::Eof | End::BrokenPipe => Death::Closed,
                End::ConnectFailed | End::Other => Death::Lost,
            };
            Fault {
                failure: Failure::Died(death),
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
    asked: Moment,
    from: BodyLength,
    to: BodyLength,
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
                relaying.lease.close();
                return Err(rest::unanswered(exchange, &end));
            }
        }
    };
    Ok(Answered::Rest(Box::pin(rest.run(exchange, setting, upload))))
}

/// Sends an answer that is whole in the client's buffer, behind what others read in this turn.
pub(crate) async fn send(exchange: &mut Exchange<'_>, cluster: &ClusterHandle, next: Next) -> Next {
    engine::stage(Stage::Answer).await;
    let sent = match exchange.client.send() {
        Sent::All => return next,
        Sent::Failed => false,
        Sent::Part => {
            let limit = exchange.client.downstream().body_timeout;
            Box::pin(exchange.client.flush(limit)).await
        }
    };
    if sent {
        return next;
    }
    rest::cut(exchange, cluster, RelayEnd::ClientLeft)
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
    let from = framing::response_body(response, method)
        .map_err(|error| error.sentence())
        .and_then(|from| match hop::check_connection(&response.fields) {
            Ok(()) => Ok(from),
            Err(error) => Err(error.sentence()),
        });
    setting.cluster.shared.with(|state| {
        let cluster = &mut state.cluster;
        if from.is_ok() {
            cluster.on_attempt(&summary, begun.leased, now);
            cluster.on_response(status, service);
            cluster.counters.rq_retry_limit_exceeded += u64::from(before.limit_exceeded);
        } else {
            cluster.on_attempt(&malformed(summary), begun.leased, now);
        }
    });
    let from = from.map_err(Fault::bad_response)?;
    let relaying = Relaying {
        lease,
        asked: begun.asked,
        from,
        to: from.relayed_to(exchange.work.request.version),
        stays: framing::keeps_alive(response.version, &response.fields),
        hint: response.fields.get(Known::KeepAlive).and_then(timeout_hint),
        persists: false,
    };
    let date = exchange.worker.calendar.date(now);
    forward::arrive_back(response, service, &date);
    setting.affinity.tell(&mut response.fields);
    if let Some(quota) = &setting.routed.quota {
        rate_limit::tell(quota, &mut response.fields);
    }
    setting.own.apply(&mut response.fields);
    if before.limit_exceeded {
        exchange.record.flags(FlagSet::NONE.with(Flag::URX));
    }
    exchange.record.status(status);
    exchange.record.upstream_service_time(service);
    exchange.record.details("via_upstream");
    Ok(relaying)
}

impl Relaying<'_> {
    /// A body's beginning: taken if all of it has come with its head, which small ones mostly have.
    fn begin(&mut self, exchange: &mut Exchange<'_>, upload: &Upload) -> Result<Begin, DownloadEnd> {
        let framing = (self.from, self.to);
        if !upload.sent_whole() {
            return Ok(Begin::Rest(Download::new(framing)));
        }
        let client = &mut *exchange.client;
        let limits = client.snapshot.limits(client.listener);
        let Client { out, behind, .. } = client;
        Download::begin(framing, &mut self.lease.input, out, behind, limits)
    }

    /// The body's `count` bytes have gone on: its connection is free for others.
    fn end(self, exchange: &mut Exchange<'_>, setting: &Setting<'_>, upload: &Upload, count: u64) -> Next {
        exchange.record.bytes_sent(count);
        exchange.record.bytes_received(upload.received);
        let time = exchange.worker.clock.now().since(self.asked);
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
