//! Why an exchange ended without a complete response of an endpoint.

use super::Cause;
use crate::cluster::Refusal;
use crate::rate_limit::Quota;

/// Why an exchange ended without a complete response of an endpoint, with what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client's head is not one that we forward. The parser knows which status it calls for,
    /// and Envoy's name for the reason (`http1.codec_error` …).
    BadRequest {
        /// 400, 405, 417, 501 or 505.
        status: u16,
        /// The response code details.
        details: &'static str,
        /// Which rule it breaks, as a sentence.
        what: &'static str,
    },
    /// The client's body is not one that we forward.
    BadRequestBody {
        /// The response code details.
        details: &'static str,
        /// Which rule it breaks, as a sentence.
        what: &'static str,
    },
    /// The client speaks another protocol.
    ClientOtherProtocol {
        /// Its name, as `the PROXY protocol`.
        name: &'static str,
    },
    /// The client sent a request in plain text to a listener that speaks TLS.
    PlainHttpOnTls,
    /// The TLS handshake with the client failed.
    TlsHandshake {
        /// Why, as a sentence.
        what: &'static str,
    },
    /// The TLS handshake with the client was not done in time.
    TlsHandshakeTimeout,
    /// The TLS handshake with the client had not been done and was the oldest when there were more than may be.
    TlsHandshakeShed,
    /// The client left inside the TLS handshake.
    TlsHandshakeLeft,
    /// The client's head, or the trailer section of its body, passes a limit.
    HeadLimit(HeadLimit),
    /// The client's body has more bytes than the limit.
    BodyTooLarge,
    /// The client's head did not come in time.
    HeadTimeout,
    /// The client's head had begun and was the oldest when all unfinished heads took more memory than they may.
    HeadShed,
    /// The client's body did not come on.
    BodyTimeout,
    /// The client left.
    DownstreamLeft,
    /// No route matches.
    NoRoute,
    /// The route leads nowhere: it has no backend, or one that does not exist.
    NoCluster,
    /// An `OPTIONS` request with `Max-Forwards: 0` (RFC 9110, section 7.6.2): we are its last
    /// recipient.
    OptionsEndsHere,
    /// A `TRACE` request with `Max-Forwards: 0`. What it would reflect may be another's secret.
    TraceEndsHere,
    /// The client has used up what the route's rate limit lets it have.
    RateLimited(Quota),
    /// The checkout was refused.
    Refused(Refusal),
    /// The endpoint's name has no address.
    Unresolved,
    /// The connection could not be opened.
    Connect(ConnectFault),
    /// The connection was not opened in time.
    ConnectTimeout,
    /// The connection ended before the response head was complete.
    Died(Death),
    /// The connection ended after the response head had been sent on.
    Truncated(Death),
    /// The endpoint speaks another protocol.
    OtherProtocol {
        /// Its name, as `TLS`.
        name: &'static str,
    },
    /// The endpoint's response is not HTTP as we know it.
    BadResponse {
        /// Which rule it breaks, as a sentence.
        what: &'static str,
    },
    /// The head of the endpoint's response passes the limit.
    ResponseHeadTooLarge,
    /// The endpoint's response turned out malformed after its head had been sent on.
    ProtocolInBody {
        /// Which rule it breaks, as a sentence.
        what: &'static str,
    },
    /// The attempt took longer than the per-try timeout.
    PerTryTimeout,
    /// The exchange took longer than the request timeout.
    RequestTimeout,
    /// The request timeout ran out after the response head had been sent on.
    LateTimeout,
    /// The same, while the client was to take more of its response.
    SlowClient,
    /// The client took no byte of its response for too long.
    IdleDownstream,
    /// No byte went either way for too long, and it was the endpoint's turn.
    IdleUpstream,
    /// … after the response head had been sent on.
    IdleInResponse,
}

/// Which limit on what a client sends was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadLimit {
    /// Bytes of a head.
    Bytes,
    /// Fields of a head.
    Fields,
    /// Bytes of a request line, which a method alone passes.
    Method,
    /// Bytes of a request line.
    RequestLine,
    /// Bytes of a trailer section.
    TrailerBytes,
    /// Fields of a trailer section.
    TrailerFields,
}

/// Why a connection could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFault {
    /// The endpoint's machine refused it: nothing listens there.
    Refused,
    /// The network or host can not be reached.
    Unreachable,
    /// The file of a Unix domain socket is not there.
    NoSocketFile,
    /// We may not: a firewall's or the system's word.
    Forbidden,
    /// The TLS handshake failed.
    Tls(TlsFault),
    /// evenkeel has no file descriptor, port or memory left for it.
    OutOfResources,
    /// Some other error.
    Other,
}

/// Why a TLS handshake with an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Its certificate is issued by an authority that is not believed.
    UnknownAuthority,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is for other names.
    WrongName,
    /// Its certificate does not check out for another reason.
    BadCertificate,
    /// It speaks no TLS.
    NotTls,
    /// It shares no version, cipher or protocol.
    NothingShared,
    /// It ended the handshake with an alert.
    Alert,
    /// It ended the connection inside the handshake.
    Closed,
    /// Some other error.
    Other,
}

/// How a connection ended that a response was awaited on, or came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// By a FIN of the endpoint.
    Closed,
    /// By an RST of the endpoint.
    Reset,
    /// Nothing that was sent is acknowledged.
    Silent,
    /// By some other error of the socket.
    Lost,
}

impl Failure {
    /// Its row's name in the table of failures.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::BadRequest { status, .. } => match *status {
                405 => Cause::ConnectNotOffered,
                417 => Cause::UnknownExpectation,
                501 => Cause::NotImplemented,
                505 => Cause::UnknownVersion,
                _ => Cause::BadRequest,
            },
            Self::BadRequestBody { .. } => Cause::BadRequestBody,
            Self::ClientOtherProtocol { .. } => Cause::ClientOtherProtocol,
            Self::PlainHttpOnTls => Cause::PlainHttpOnTls,
            Self::TlsHandshake { .. } => Cause::TlsHandshakeFailed,
            Self::TlsHandshakeTimeout => Cause::TlsHandshakeTimeout,
            Self::TlsHandshakeShed => Cause::TlsHandshakeShed,
            Self::TlsHandshakeLeft => Cause::TlsHandshakeLeft,
            Self::HeadLimit(HeadLimit::Bytes | HeadLimit::TrailerBytes) => Cause::RequestHeadTooLarge,
            Self::HeadLimit(HeadLimit::Fields | HeadLimit::TrailerFields) => Cause::TooManyRequestFields,
            // A method that long is none that is implemented (RFC 9112, section 3).
            Self::HeadLimit(HeadLimit::Method) => Cause::NotImplemented,
            Self::HeadLimit(HeadLimit::RequestLine) => Cause::RequestLineTooLong,
            Self::BodyTooLarge => Cause::RequestBodyTooLarge,
            Self::HeadTimeout => Cause::RequestHeadTimeout,
            Self::HeadShed => Cause::RequestHeadShed,
            Self::BodyTimeout => Cause::RequestBodyTimeout,
            Self::DownstreamLeft => Cause::ClientLeft,
            Self::NoRoute => Cause::NoRoute,
            Self::NoCluster => Cause::NoBackend,
            Self::OptionsEndsHere => Cause::OptionsEndsHere,
            Self::TraceEndsHere => Cause::TraceEndsHere,
            Self::RateLimited(_) => Cause::RateLimited,
            Self::Refused(refusal) => match refusal {
                Refusal::NoEndpoint => Cause::NoHealthyEndpoint,
                Refusal::Requests => Cause::RequestsOverflow,
                Refusal::Overflow => Cause::PendingOverflow,
                Refusal::Overload | Refusal::Stalled => Cause::QueueOverload,
                Refusal::Shed => Cause::QueueTimeout,
            },
            Self::Unresolved => Cause::UnresolvedName,
            Self::Connect(ConnectFault::Refused) => Cause::ConnectRefused,
            Self::Connect(ConnectFault::OutOfResources) => Cause::ConnectFailedHere,
            Self::Connect(ConnectFault::Tls(_)) => Cause::UpstreamTlsFailed,
            Self::Connect(
                ConnectFault::Unreachable
                | ConnectFault::NoSocketFile
                | ConnectFault::Forbidden
                | ConnectFault::Other,
            ) => Cause::ConnectFailed,
            Self::ConnectTimeout => Cause::ConnectTimeout,
            Self::Died(Death::Closed) => Cause::EndpointClosed,
            Self::Died(Death::Reset) => Cause::EndpointReset,
            Self::Died(Death::Silent) => Cause::EndpointSilent,
            Self::Died(Death::Lost) => Cause::EndpointLost,
            Self::Truncated(Death::Closed) => Cause::ResponseCut,
            Self::Truncated(Death::Reset | Death::Silent | Death::Lost) => Cause::ResponseReset,
            Self::OtherProtocol { .. } => Cause::EndpointOtherProtocol,
            Self::BadResponse { .. } => Cause::BadResponse,
            Self::ResponseHeadTooLarge => Cause::ResponseHeadTooLarge,
            Self::ProtocolInBody { .. } => Cause::BadResponseBody,
            Self::PerTryTimeout => Cause::PerTryTimeout,
            Self::RequestTimeout => Cause::RequestTimeout,
            Self::LateTimeout => Cause::RequestTimeoutInResponse,
            Self::SlowClient => Cause::ClientSlow,
            Self::IdleDownstream => Cause::ClientStuck,
            Self::IdleUpstream => Cause::StreamIdle,
            Self::IdleInResponse => Cause::StreamIdleInResponse,
        }
    }
}
