//! What happened, why, how often it was tried and by which rule, and what would prevent it: in plain
//! sentences that are made of a story's facts and of nothing else.

mod advice;
mod attempts;
mod handshake;
mod limits;

use std::fmt::Write;
use std::time::Duration;

use super::story::{Ending, Phase, Story, TunnelEnd};
use super::{Cause, ConnectFault, Death, Failure, HeadLimit, TlsFault};
use crate::cluster::Refusal;
use crate::keepalive::Seconds;

/// What a person is told of an exchange that failed or was saved.
#[must_use]
pub fn sentence(story: &Story<'_>) -> String {
    let mut text = match story.ending {
        Ending::Failed(failure) => failed(story, failure),
        Ending::Saved => attempts::last(story),
        Ending::Answered(status) => format!("The endpoint{} answered {status}.", endpoint(story)),
        Ending::Tunnel(end) => tunnel(story, end),
        Ending::Drained => String::from(
            "evenkeel was told to end, and the exchange was not over when the drain's time was up.",
        ),
    };
    for more in [attempts::made(story), advice::advice(story)]
        .into_iter()
        .flatten()
    {
        text.push(' ');
        text.push_str(&more);
    }
    text
}

/// What happened.
fn failed(story: &Story<'_>, failure: &Failure) -> String {
    let around = story.around;
    match failure {
        Failure::BadRequest { what, .. } => format!("{what} evenkeel did not forward the request."),
        Failure::BadRequestBody { what, .. } => {
            format!(
                "{what} evenkeel ended the request after {} of its body.",
                bytes(story.progress.received, None)
            )
        }
        Failure::ClientOtherProtocol { name } => client_protocol(name),
        Failure::PlainHttpOnTls
        | Failure::TlsHandshake { .. }
        | Failure::TlsHandshakeTimeout
        | Failure::TlsHandshakeShed
        | Failure::TlsHandshakeLeft => handshake::failed(story, failure),
        Failure::HeadLimit(limit) => limits::head(story, *limit),
        Failure::BodyTooLarge => limits::body_too_large(story),
        Failure::HeadTimeout => limits::head_timeout(story),
        Failure::HeadShed => limits::head_shed(story),
        Failure::BodyTimeout => limits::body_timeout(story),
        Failure::IdleDownstream => limits::stuck(story),
        Failure::DownstreamLeft => left(story),
        Failure::NoRoute | Failure::NoCluster | Failure::RateLimited(_) | Failure::Unresolved => {
            or_usual(around, failure)
        }
        Failure::OptionsEndsHere | Failure::TraceEndsHere => {
            String::from("The request's Max-Forwards was 0, so evenkeel answered it and forwarded nothing.")
        }
        Failure::Refused(Refusal::NoEndpoint) => or_usual(around, failure),
        Failure::Refused(refusal) => limits::overflow(story, *refusal),
        Failure::Connect(_)
        | Failure::ConnectTimeout
        | Failure::Died(_)
        | Failure::OtherProtocol { .. }
        | Failure::BadResponse { .. }
        | Failure::ResponseHeadTooLarge => attempted(story, failure),
        Failure::Truncated(death) => cut(story, *death),
        Failure::ProtocolInBody { what } => format!(
            "The body of the response of the endpoint{} is malformed. {what} evenkeel cut it off after {}.",
            endpoint(story),
            bytes(story.progress.sent, story.progress.sent_of)
        ),
        Failure::PerTryTimeout | Failure::RequestTimeout | Failure::LateTimeout | Failure::SlowClient => {
            limits::timeout(story, failure)
        }
        Failure::IdleUpstream | Failure::IdleInResponse => limits::idle(story),
    }
}

/// What an attempt came to, and with it the exchange.
fn attempted(story: &Story<'_>, failure: &Failure) -> String {
    let at = endpoint(story);
    match failure {
        Failure::OtherProtocol { name } => {
            format!("The endpoint{at} speaks {name}, not HTTP/1.{}", after(story))
        }
        Failure::BadResponse { what } => format!(
            "The response of the endpoint{at} is malformed. {what}{}{}",
            after(story),
            attempts::spoken(story)
        ),
        Failure::ResponseHeadTooLarge => format!(
            "The head of the response of the endpoint{at} is larger than evenkeel's limit.{}",
            after(story)
        ),
        _ => attempts::last(story),
    }
}

/// What the shell found out, where it did.
fn or_usual(around: &str, failure: &Failure) -> String {
    if around.is_empty() {
        failure.cause().row().happened.replace('`', "")
    } else {
        around.to_owned()
    }
}

/// … behind what is said already.
fn after(story: &Story<'_>) -> String {
    if story.around.is_empty() {
        String::new()
    } else {
        format!(" {}", story.around)
    }
}

fn client_protocol(name: &str) -> String {
    match name {
        "PROXY" => String::from(
            "The client's connection began with a PROXY protocol header, and this listener expects a request.",
        ),
        _ => format!("The client speaks {name}, and this listener speaks HTTP/1 in plain text."),
    }
}

fn left(story: &Story<'_>) -> String {
    let at = endpoint(story);
    let progress = &story.progress;
    let how_far = match progress.phase {
        Phase::Head => String::from("before its request's head was complete"),
        Phase::Connection => String::from("while its request waited for a connection to the backend"),
        Phase::Pause => String::from("while evenkeel paused before a retry"),
        Phase::Request => format!(
            "inside its request's body, after {}",
            bytes(progress.received, progress.received_of)
        ),
        Phase::Response => format!("while evenkeel waited for the endpoint{at} to respond"),
        Phase::Body => format!(
            "after {} of the response's body had come from the endpoint{at}",
            bytes(progress.sent, progress.sent_of)
        ),
    };
    format!(
        "The client ended its connection {how_far}, {} after its request began.",
        Took(progress.took)
    )
}

fn cut(story: &Story<'_>, death: Death) -> String {
    let (at, progress) = (endpoint(story), &story.progress);
    let so_far = bytes(progress.sent, progress.sent_of);
    match death {
        Death::Closed => {
            format!("The endpoint{at} closed the connection (FIN) after {so_far} of its response's body.")
        }
        Death::Reset => {
            format!("The endpoint{at} reset the connection (RST) after {so_far} of its response's body.")
        }
        Death::Silent | Death::Lost => {
            format!("The connection to the endpoint{at} failed after {so_far} of its response's body.")
        }
    }
}

fn tunnel(story: &Story<'_>, end: TunnelEnd) -> String {
    let at = endpoint(story);
    let mut text = match end.cause {
        Cause::TunnelClosedByClient => String::from("The client closed the tunnel (FIN)"),
        Cause::TunnelResetByClient => String::from("The client reset the tunnel (RST)"),
        Cause::TunnelClosedByEndpoint => format!("The endpoint{at} closed the tunnel (FIN)"),
        Cause::TunnelResetByEndpoint => format!("The endpoint{at} reset the tunnel (RST)"),
        Cause::TunnelIdle => match story.settings.stream_idle() {
            Some(limit) => format!("evenkeel ended the tunnel, because no byte had moved for {limit},"),
            None => String::from("evenkeel ended the tunnel, because no byte had moved,"),
        },
        _ => String::from("evenkeel ended the tunnel, because its drain's time was up,"),
    };
    let _ = write!(
        text,
        " after {}, {} bytes from the client and {} bytes to it.",
        Took(end.lasted),
        end.received,
        end.sent
    );
    text
}

/// ` 10.0.0.1:80`, or nothing where none was chosen.
fn endpoint(story: &Story<'_>) -> String {
    let last = story.history.and_then(|history| history.last());
    last.filter(|attempt| !attempt.endpoint.is_empty())
        .map_or(String::new(), |attempt| format!(" {}", attempt.endpoint))
}

/// `3 of 100 bytes`.
fn bytes(count: u64, of: Option<u64>) -> String {
    match of {
        Some(of) => format!("{count} of {of} bytes"),
        None if count == 1 => String::from("1 byte"),
        None => format!("{count} bytes"),
    }
}

/// Which setting limits a part of a head, and what it is called.
fn head_limit(story: &Story<'_>, limit: HeadLimit) -> (&'static str, Option<super::Setting>) {
    let client = &story.settings.client;
    match limit {
        HeadLimit::Bytes => ("The request's head has more bytes than", Some(client.head_bytes)),
        HeadLimit::Fields => ("The request's head has more fields than", Some(client.fields)),
        HeadLimit::Method => (
            "The request's method alone has more bytes than",
            Some(client.request_line),
        ),
        HeadLimit::RequestLine => ("The request line has more bytes than", Some(client.request_line)),
        HeadLimit::TrailerBytes => ("The request's trailer section has more bytes than", None),
        HeadLimit::TrailerFields => (
            "The request's trailer section has more fields than",
            Some(client.fields),
        ),
    }
}

/// Why a connection could not be opened.
const fn connect_fault(fault: ConnectFault) -> &'static str {
    match fault {
        ConnectFault::Refused => "refused the connection: nothing listens there",
        ConnectFault::Unreachable => "can not be reached: the network or host is not there",
        ConnectFault::NoSocketFile => "can not be reached: its socket file does not exist",
        ConnectFault::Forbidden => "can not be reached: the system does not permit the connection",
        ConnectFault::Tls(fault) => tls_fault(fault),
        ConnectFault::OutOfResources => {
            "was not reached: evenkeel has no file descriptor, port or memory left for a connection"
        }
        ConnectFault::Other => "could not be reached",
    }
}

/// Why a TLS handshake failed.
const fn tls_fault(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownAuthority => {
            "presented a certificate whose issuer the BackendTLSPolicy does not believe"
        }
        TlsFault::Expired => "presented a certificate that has expired",
        TlsFault::NotYetValid => "presented a certificate that is not valid yet",
        TlsFault::WrongName => "presented a certificate that is not for the name in the BackendTLSPolicy",
        TlsFault::BadCertificate => "presented a certificate that does not check out",
        TlsFault::NotTls => "speaks no TLS",
        TlsFault::NothingShared => "shares no version, cipher or protocol of TLS with evenkeel",
        TlsFault::Alert => "ended the TLS handshake with an alert",
        TlsFault::Closed => "ended the connection inside the TLS handshake",
        TlsFault::Other => "failed in the TLS handshake",
    }
}

/// A span that has passed.
struct Took(Duration);

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < Duration::from_millis(1) {
            f.write_str("less than 1 ms")
        } else {
            Seconds(self.0).fmt(f)
        }
    }
}
