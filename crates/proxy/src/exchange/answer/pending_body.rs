//! What is left of an answer once what could be done at once is done.

use policy::outcome::{
    Attempt, AttemptEnd, Before, Cause, Death, Ending, Failure, Phase, Stop, TunnelEnd, verdict,
};
use policy::time::Moment;
use wire::field::{Fields, Known};
use wire::h1::encode::{Persistence, Upgrade};
use wire::h1::framing::BodyLength;

use super::{ExchangeContext, Relaying, write_head};
use crate::cluster::connection::Connection;
use crate::downstream::client::Sent;
use crate::exchange::attempt_result::AttemptTimes;
use crate::exchange::explain::SoFar;
use crate::exchange::fault::Fault;
use crate::exchange::record_failure::{attempt_on, note};
use crate::exchange::relay::{self, RelayEnd};
use crate::exchange::{Exchange, Next};
use crate::telemetry::record::{ClosedBy, Record};
use crate::transport::Transport;
use crate::transport::tunnel::{self, TunnelSide};
use crate::upstream::body::{Download, DownloadEnd, Upload};
use crate::upstream::lease::Lease;

/// What is to be waited for.
pub(super) enum PendingBody<'a> {
    /// More of the body is to come, or of the request to go.
    Body(Relaying<'a>, Box<Download>),
    /// The connection becomes a tunnel.
    Upgrade(Relaying<'a>),
}

impl PendingBody<'_> {
    /// Brings the answer to its end.
    pub(super) async fn run(
        self,
        exchange: &mut Exchange<'_>,
        context: &ExchangeContext<'_>,
        upload: &mut Upload,
    ) -> Result<Next, Box<Fault>> {
        match self {
            Self::Upgrade(relaying) => upgrade(exchange, relaying.lease, context, upload).await,
            Self::Body(relaying, download) => relay_body(exchange, relaying, download, context, upload).await,
        }
    }
}

/// Relays a body to its end.
async fn relay_body(
    exchange: &mut Exchange<'_>,
    mut relaying: Relaying<'_>,
    mut download: Box<Download>,
    context: &ExchangeContext<'_>,
    upload: &mut Upload,
) -> Result<Next, Box<Fault>> {
    let sent = exchange.client.connection.transport.sent();
    let bounds = context.limits.relay(exchange.client, context.cluster);
    let (from, to) = (relaying.from, relaying.to);
    let told = Told {
        record: &mut exchange.record,
        download: &mut download,
        upload,
    };
    let (worker, client) = (exchange.worker, &mut *exchange.client);
    let relay = relay::run(
        worker,
        &mut relaying.lease,
        told.upload,
        told.download,
        client,
        bounds,
    );
    let done = relay.await;
    drop(told);
    let so_far = |download: &Download| SoFar::of(upload).and_sent(download.sent(), from);
    if let Err(end) = done {
        let attempt = attempt_on(&relaying.lease, relaying.times, AttemptEnd::BadResponse);
        relaying.lease.close();
        let cut = Cut {
            end,
            untouched: exchange.client.connection.transport.sent() == sent,
            to,
            so_far: so_far(&download),
            attempt,
        };
        return cut_short(exchange, cut, context);
    }
    let next = relaying.end(exchange, context, upload, download.relayed());
    let limit = exchange.client.downstream().body_timeout;
    let flushed = exchange.client.flush(limit).await;
    if flushed != Sent::All {
        download.note_taken(exchange.client.taken());
        exchange.record.bytes_sent(download.sent());
        let so_far = so_far(&download);
        return Ok(cut(exchange, context, not_taken(flushed), so_far));
    }
    Ok(next)
}

/// What a record is told of a relay, however that ends, a drop by a drain included: what the client has taken of the
/// response's body, and what it has sent of the request's.
struct Told<'a> {
    record: &'a mut Record,
    download: &'a mut Download,
    upload: &'a mut Upload,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.record.bytes_sent(self.download.sent());
        self.record.bytes_received(self.upload.received);
    }
}

/// A relay that ended early.
struct Cut {
    end: RelayEnd,
    /// Whether the client has not had a byte of it.
    untouched: bool,
    /// How the body is framed for the client.
    to: BodyLength,
    so_far: SoFar,
    attempt: Box<Attempt>,
}

/// A relay ended early: what the client can still be told.
fn cut_short(
    exchange: &mut Exchange<'_>,
    cut_off: Cut,
    context: &ExchangeContext<'_>,
) -> Result<Next, Box<Fault>> {
    let Cut {
        end,
        untouched,
        to,
        so_far,
        attempt,
    } = cut_off;
    match end {
        RelayEnd::Upstream(end) if untouched => return Err(unanswered(exchange, attempt, &end)),
        RelayEnd::BadBody(why) if untouched => {
            exchange.client.forget();
            return Err(Fault::from(why).into());
        }
        _ => {}
    }
    note(exchange, attempt);
    if to == BodyLength::UntilClose {
        // A close would be taken for the body's end (RFC 9112, 8).
        exchange.client.reset_on_drop();
    }
    Ok(cut(exchange, context, end, so_far))
}

/// A response ended early before the client had a byte of it: it can still be told.
pub(super) fn unanswered(
    exchange: &mut Exchange<'_>,
    attempt: Box<Attempt>,
    end: &DownloadEnd,
) -> Box<Fault> {
    exchange.client.forget();
    note(exchange, attempt);
    exchange.stopped(Some(Stop::Begun));
    let sentence = match end {
        DownloadEnd::Malformed(error) => error.sentence(),
        DownloadEnd::Upstream | DownloadEnd::UpstreamReset | DownloadEnd::ClientLeft => {
            "The endpoint closed the connection inside its response."
        }
    };
    Fault::bad_response(sentence).into()
}

/// Why a client has not all of what was to be sent to it.
pub(super) fn not_taken(sent: Sent) -> RelayEnd {
    match sent {
        Sent::Part => RelayEnd::ClientStuck,
        Sent::All | Sent::Failed => RelayEnd::ClientLeft,
    }
}

/// A response could not be relayed to its end: the client's connection is closed without one.
pub(super) fn cut(
    exchange: &mut Exchange<'_>,
    context: &ExchangeContext<'_>,
    end: RelayEnd,
    so_far: SoFar,
) -> Next {
    let failure = match end {
        RelayEnd::Upstream(DownloadEnd::Malformed(error)) => Failure::ProtocolInBody {
            what: error.sentence(),
        },
        RelayEnd::Upstream(DownloadEnd::UpstreamReset) => Failure::Truncated(Death::Reset),
        RelayEnd::Upstream(DownloadEnd::Upstream | DownloadEnd::ClientLeft) => {
            Failure::Truncated(Death::Closed)
        }
        RelayEnd::ClientLeft => Failure::DownstreamLeft,
        RelayEnd::BadBody(why) => Fault::from(why).failure,
        RelayEnd::ClientStuck => Failure::IdleDownstream,
        RelayEnd::Idle => Failure::IdleInResponse,
        RelayEnd::Late => Failure::LateTimeout,
        RelayEnd::ClientSlow => Failure::SlowClient,
    };
    let shared = &context.cluster.shared;
    shared.with(|state| state.cluster.on_failure(&failure, Before::default(), false));
    let verdict = verdict(&failure, Before::default());
    exchange.record.flags(verdict.flags);
    exchange.record.details(verdict.details);
    exchange.tell_who_closed(&failure);
    exchange.phase = Phase::Body;
    exchange.explain(Some(context), Ending::Failed(&failure), so_far, "");
    exchange.client.forget();
    Next::Drop
}

/// The endpoint switched protocols: bytes go both ways from here.
async fn upgrade(
    exchange: &mut Exchange<'_>,
    mut lease: Lease<'_>,
    context: &ExchangeContext<'_>,
    upload: &mut Upload,
) -> Result<Next, Box<Fault>> {
    if !context.accepted.upgrade
        || !is_asked_for(&exchange.work.request.fields, &exchange.work.response.fields)
    {
        let sentence = "The endpoint answered 101 to a request that did not ask for this upgrade.";
        return Err(Fault::bad_response(sentence).into());
    }
    finish_request(exchange, &mut lease, context, upload).await?;
    write_head(exchange, BodyLength::None, Persistence::Nothing, Upgrade::Keep);
    let limit = exchange.client.downstream().body_timeout;
    let sent = exchange.client.flush(limit).await;
    if sent != Sent::All {
        return Ok(cut(exchange, context, not_taken(sent), SoFar::default()));
    }
    // For its sentence, should there be one.
    let times = setting_out(exchange);
    let attempt = attempt_on(&lease, times, AttemptEnd::Status(exchange.work.response.status));
    let Exchange {
        worker,
        client,
        record,
        ..
    } = &mut *exchange;
    let Connection { transport, input, .. } = &mut *lease;
    let cause = {
        let _carried = Carried::from_now(record, &client.connection.transport, transport);
        tunnel::run(
            worker.clock,
            &client.alarm,
            context.cluster.plan.timeouts.stream_idle,
            TunnelSide {
                transport: &client.connection.transport,
                input: &mut client.input,
            },
            TunnelSide { transport, input },
        )
        .await
    };
    note(exchange, attempt);
    tunnel_ended(exchange, context, cause, times.leased);
    Ok(Next::Drop)
}

/// A tunnel begins now.
fn setting_out(exchange: &Exchange<'_>) -> AttemptTimes {
    let now = exchange.worker.clock.now();
    AttemptTimes {
        asked: now,
        leased: now,
    }
}

/// What a record is told of a tunnel, however that ends, a drop by a drain included: what either side took,
/// to the byte.
struct Carried<'a> {
    record: &'a mut Record,
    client: &'a Transport,
    endpoint: &'a Transport,
    /// What each had taken before.
    before: (u64, u64),
}

impl<'a> Carried<'a> {
    fn from_now(record: &'a mut Record, client: &'a Transport, endpoint: &'a Transport) -> Self {
        let before = (client.sent(), endpoint.sent());
        Self {
            record,
            client,
            endpoint,
            before,
        }
    }
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        self.record.bytes_sent(self.client.sent() - self.before.0);
        self.record.bytes_received(self.endpoint.sent() - self.before.1);
    }
}

/// Who ended a tunnel, and why, in its record.
fn tunnel_ended(exchange: &mut Exchange<'_>, context: &ExchangeContext<'_>, cause: Cause, since: Moment) {
    let record = &mut exchange.record;
    record.flags(cause.flags());
    record.details(cause.row().details);
    record.closed_by(match cause {
        Cause::TunnelClosedByClient => ClosedBy::DownstreamFin,
        Cause::TunnelResetByClient => ClosedBy::DownstreamReset,
        Cause::TunnelClosedByEndpoint => ClosedBy::UpstreamFin,
        Cause::TunnelResetByEndpoint => ClosedBy::UpstreamReset,
        _ => ClosedBy::Local,
    });
    let end = TunnelEnd {
        cause,
        received: record.received(),
        sent: record.sent(),
        lasted: exchange.worker.clock.now().since(since),
    };
    exchange.explain(Some(context), Ending::Tunnel(end), SoFar::default(), "");
}

/// The other protocol begins behind the request, whose body may still be on its way (RFC 9110, 7.8): its
/// chunks are no bytes of the tunnel.
async fn finish_request(
    exchange: &mut Exchange<'_>,
    lease: &mut Lease<'_>,
    context: &ExchangeContext<'_>,
    upload: &mut Upload,
) -> Result<(), Box<Fault>> {
    if upload.sent_whole() {
        return Ok(());
    }
    let bounds = context.limits.relay(exchange.client, context.cluster);
    let finished = relay::finish_upload(exchange.worker, lease, upload, exchange.client, bounds);
    let Err(end) = Box::pin(finished).await else {
        return Ok(());
    };
    Err(match end {
        RelayEnd::Upstream(_) => {
            Fault::bad_response("The endpoint answered 101 and then took no more of the request's body.")
                .into()
        }
        RelayEnd::ClientLeft => Failure::DownstreamLeft.into(),
        RelayEnd::BadBody(why) => Fault::from(why).into(),
        RelayEnd::ClientStuck => Failure::BodyTimeout.into(),
        RelayEnd::Idle => Failure::IdleUpstream.into(),
        RelayEnd::Late | RelayEnd::ClientSlow => Failure::RequestTimeout.into(),
    })
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
