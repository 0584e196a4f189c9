//! Answers of our own: redirects, preflights, and failures by their verdict.

use policy::outcome::{Phase, verdict};
use wire::h1::encode::Persistence;
use wire::h1::glimpse::Glimpse;
use wire::h1::head::Method;

use crate::downstream::client::Sent;
use crate::exchange::explain::SoFar;
use crate::exchange::fault::Fault;
use crate::exchange::forward;
use crate::exchange::local_reply::LocalReply;
use crate::exchange::route::OwnersFields;
use crate::exchange::{Exchange, Next};

/// Redirects.
pub(crate) async fn redirect(
    exchange: &mut Exchange<'_>,
    status: u16,
    location: &str,
    own: &OwnersFields<'_>,
) -> Next {
    local(exchange, status, &[("location", location)], own).await
}

/// Answers a CORS preflight.
pub(crate) async fn preflight(
    exchange: &mut Exchange<'_>,
    fields: &[(&'static str, String)],
    own: &OwnersFields<'_>,
) -> Next {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
    local(exchange, 200, &fields.collect::<Vec<_>>(), own).await
}

/// An answer of our own that is no failure.
async fn local(
    exchange: &mut Exchange<'_>,
    status: u16,
    fields: &[(&str, &str)],
    own: &OwnersFields<'_>,
) -> Next {
    exchange.record.status(status);
    exchange.record.details("direct_response");
    send(exchange, status, (fields, own), b"").await
}

/// Answers with a failure's verdict, and with what the owner of the rule says in all responses, if one
/// matched.
pub(crate) async fn refuse(exchange: &mut Exchange<'_>, fault: &Fault, own: &OwnersFields<'_>) -> Next {
    let verdict = verdict(&fault.failure, fault.before);
    exchange.record.flags(verdict.flags);
    exchange.record.details(verdict.details);
    exchange.tell_who_closed(&fault.failure);
    record_requester(exchange);
    if exchange.phase == Phase::Head {
        // No cluster was asked: whoever asks one explains what comes of it.
        let so_far = SoFar {
            received: exchange.client.input.data().len() as u64,
            ..SoFar::default()
        };
        exchange.explain_fault(None, fault, so_far);
    }
    exchange.record.saved(None);
    let Some(status) = verdict.status else {
        return Next::Drop;
    };
    exchange.record.status(status);
    let retry_after = verdict
        .retry_after
        .map(|after| after.as_secs().max(1).to_string());
    let mut fields = Vec::new();
    if verdict.overloaded {
        fields.push(("x-envoy-overloaded", "true"));
    }
    if let Some(after) = &retry_after {
        fields.push(("retry-after", after));
    }
    let quota = verdict
        .quota
        .map(|quota| (quota.policy_field(), quota.state_field()));
    if let Some((policy, state)) = &quota {
        fields.extend([("ratelimit-policy", policy.as_str()), ("ratelimit", state)]);
    }
    if fault.ends_connection() {
        exchange.body_read = false;
    }
    send(exchange, status, (&fields, own), verdict.body.as_bytes()).await
}

/// Every line says who asked for what, as far as it was read, however early a request is refused.
#[cold]
fn record_requester(exchange: &mut Exchange<'_>) {
    let Exchange {
        record,
        client,
        worker,
        ..
    } = exchange;
    if !record.has_head() {
        let seen = Glimpse::of(client.input.data());
        record.request(seen.method, seen.target, None, seen.host);
        record.user_agent(seen.user_agent);
        record.request_id(seen.request_id);
    }
    record.complete(|| forward::request_id(&mut worker.dice.borrow_mut()));
}

async fn send(
    exchange: &mut Exchange<'_>,
    status: u16,
    (fields, own): (&[(&str, &str)], &OwnersFields<'_>),
    body: &[u8],
) -> Next {
    let persists = exchange.persists();
    let head_only = exchange.work.request.method == Method::Head;
    let reply = LocalReply {
        status,
        fields,
        content_type: None,
        body,
        head_only,
    };
    let persistence = exchange.persistence(persists);
    let date = exchange.worker.calendar.date(exchange.worker.clock.now());
    let (client, work) = (&mut *exchange.client, &mut *exchange.work);
    let ends = (client.connection.peer, client.connection.local);
    reply.write(&mut client.out, &date, persistence, |head| {
        own.apply(head, (&work.request, &work.authority), ends, &mut work.value);
    });
    if !head_only {
        exchange.record.bytes_sent(body.len() as u64);
    }
    let limit = exchange.client.downstream().body_timeout;
    if exchange.client.flush(limit).await != Sent::All {
        if exchange.work.request.method != Method::Head {
            exchange.record.bytes_sent(exchange.client.taken_of_body());
        }
        return Next::Drop;
    }
    if persists { Next::Request } else { Next::Close }
}

impl Exchange<'_> {
    /// Whether the client's connection may carry another request after this one.
    pub(crate) fn persists(&self) -> bool {
        self.body_read && !self.client.expects_close && !self.client.should_leave()
    }

    /// What `Connection` says to this client.
    pub(crate) fn persistence(&self, persists: bool) -> Persistence {
        match (persists, self.client.http_10) {
            (false, _) => Persistence::Close,
            (true, true) => Persistence::KeepAlive,
            (true, false) => Persistence::Nothing,
        }
    }
}
