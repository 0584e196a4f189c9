//! THE TABLE OF FAILURES: every cause that exists, each with its row.
//!
//! A cause is added by one line here and a row in one of the files below; a cause without a row does
//! not compile.
//! `docs/troubleshooting.md` is generated from this table.

mod client;
mod endpoint;
mod handshake;
mod limit;
mod route;
mod tunnel;

use super::Flag;

/// What each party is told of a cause, and what the manual says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The flag of the log line.
    pub flag: Option<Flag>,
    /// What the client gets.
    pub told: Told,
    /// Envoy's response code details; where a parser has its own word for the reason, the usual one.
    pub details: &'static str,
    /// The answer's body, plain text; the same whatever the endpoint sent.
    pub body: &'static str,
    /// What happened, for the manual.
    pub happened: &'static str,
    /// What to look at.
    pub look: &'static str,
    /// What to set.
    pub set: &'static str,
}

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An answer of evenkeel's own with this status.
    Status(u16),
    /// Nothing: nobody is left to answer.
    Nobody,
    /// Its response had begun: the connection is ended, so that nobody takes it for complete.
    Cut,
    /// The endpoint's response, as it is.
    Response,
}

/// Declares the causes, each with its row.
macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $row:path;)*) => {
        /// Every reason for which an exchange ends otherwise than by the endpoint's complete response.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $($(#[$doc])* $name),*
        }

        impl Cause {
            /// Every cause, in the manual's order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its row.
            #[must_use]
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &$row),*
                }
            }
        }
    };
}

causes! {
    /// The request is malformed or ambiguous.
    BadRequest = client::BAD_REQUEST;
    /// The request's body is malformed.
    BadRequestBody = client::BAD_REQUEST_BODY;
    /// The client speaks another protocol than HTTP/1.
    ClientOtherProtocol = client::OTHER_PROTOCOL;
    /// A request in plain text came to a listener that speaks TLS.
    PlainHttpOnTls = handshake::PLAIN_HTTP;
    /// The TLS handshake with the client failed.
    TlsHandshakeFailed = handshake::FAILED;
    /// The TLS handshake with the client was not done in time.
    TlsHandshakeTimeout = handshake::TIMEOUT;
    /// The TLS handshake with the client was the oldest of too many.
    TlsHandshakeShed = handshake::SHED;
    /// The client left inside the TLS handshake.
    TlsHandshakeLeft = handshake::LEFT;
    /// The request's head has too many bytes.
    RequestHeadTooLarge = client::HEAD_TOO_LARGE;
    /// The request's head has too many fields.
    TooManyRequestFields = client::TOO_MANY_FIELDS;
    /// The request's body has too many bytes.
    RequestBodyTooLarge = client::BODY_TOO_LARGE;
    /// The request line is too long.
    RequestLineTooLong = client::LINE_TOO_LONG;
    /// `CONNECT` is not offered.
    ConnectNotOffered = client::CONNECT;
    /// `Expect` asks for something unknown.
    UnknownExpectation = client::EXPECTATION;
    /// A transfer coding or method that evenkeel does not know what to do with.
    NotImplemented = client::NOT_IMPLEMENTED;
    /// Another version of HTTP.
    UnknownVersion = client::VERSION;
    /// The request's head did not come in time.
    RequestHeadTimeout = client::HEAD_TIMEOUT;
    /// The request's head was the oldest of too many unfinished ones.
    RequestHeadShed = client::HEAD_SHED;
    /// The request's body did not come on.
    RequestBodyTimeout = client::BODY_TIMEOUT;
    /// The client left.
    ClientLeft = client::LEFT;
    /// The client took no byte of its response for too long.
    ClientStuck = client::STUCK;
    /// The client took its response so slowly that the request took too long.
    ClientSlow = client::SLOW;
    /// `OPTIONS` with `Max-Forwards: 0`.
    OptionsEndsHere = route::OPTIONS;
    /// `TRACE` with `Max-Forwards: 0`.
    TraceEndsHere = route::TRACE;
    /// No route matches.
    NoRoute = route::NO_ROUTE;
    /// The route leads to no backend.
    NoBackend = route::NO_BACKEND;
    /// A rate limit was met.
    RateLimited = route::RATE_LIMITED;
    /// No endpoint is in service.
    NoHealthyEndpoint = endpoint::NO_HEALTHY;
    /// The backend's name has no address.
    UnresolvedName = endpoint::UNRESOLVED;
    /// The endpoint refused the connection.
    ConnectRefused = endpoint::CONNECT_REFUSED;
    /// The connection was not opened in time.
    ConnectTimeout = endpoint::CONNECT_TIMEOUT;
    /// The endpoint can not be reached.
    ConnectFailed = endpoint::CONNECT_FAILED;
    /// The TLS handshake with the endpoint failed.
    UpstreamTlsFailed = endpoint::TLS_FAILED;
    /// evenkeel has no socket or port left to connect with.
    ConnectFailedHere = endpoint::CONNECT_FAILED_HERE;
    /// As many requests as may be are in flight.
    RequestsOverflow = limit::REQUESTS;
    /// As many requests as may be wait for a connection.
    PendingOverflow = limit::PENDING;
    /// The queue for a connection does not empty, and refuses what would wait in vain.
    QueueOverload = limit::QUEUE_OVERLOAD;
    /// The request waited for a connection as long as it may.
    QueueTimeout = limit::QUEUE_TIMEOUT;
    /// A retry was wanted and the retry budget was spent.
    RetryBudgetSpent = limit::RETRY_BUDGET;
    /// A retry was wanted and as many as may be are in flight.
    RetriesOverflow = limit::RETRIES;
    /// The request had been sent as often as it may be.
    AttemptsUsedUp = limit::ATTEMPTS;
    /// The endpoint closed the connection before it answered.
    EndpointClosed = endpoint::CLOSED;
    /// The endpoint reset the connection before it answered.
    EndpointReset = endpoint::RESET;
    /// The connection failed before the endpoint answered, by some other error of the socket.
    EndpointLost = endpoint::LOST;
    /// The path to the endpoint is silent: nothing that was sent is acknowledged.
    EndpointSilent = endpoint::SILENT;
    /// The endpoint closed the connection inside its response.
    ResponseCut = endpoint::CUT;
    /// The endpoint reset the connection inside its response.
    ResponseReset = endpoint::CUT_BY_RESET;
    /// The endpoint speaks another protocol.
    EndpointOtherProtocol = endpoint::OTHER_PROTOCOL;
    /// The endpoint's response is malformed.
    BadResponse = endpoint::BAD_RESPONSE;
    /// The head of the endpoint's response is too large.
    ResponseHeadTooLarge = endpoint::HEAD_TOO_LARGE;
    /// The body of the endpoint's response turned out malformed after its head had gone on.
    BadResponseBody = endpoint::BAD_BODY;
    /// One attempt took too long.
    PerTryTimeout = limit::PER_TRY_TIMEOUT;
    /// The whole request took too long.
    RequestTimeout = limit::REQUEST_TIMEOUT;
    /// The whole request took too long, after its response had begun.
    RequestTimeoutInResponse = limit::REQUEST_TIMEOUT_IN_RESPONSE;
    /// No byte moved while the endpoint's answer was awaited.
    StreamIdle = limit::STREAM_IDLE;
    /// No byte moved inside the endpoint's response.
    StreamIdleInResponse = limit::STREAM_IDLE_IN_RESPONSE;
    /// The client closed the tunnel.
    TunnelClosedByClient = tunnel::CLIENT_CLOSED;
    /// The client reset the tunnel.
    TunnelResetByClient = tunnel::CLIENT_RESET;
    /// The endpoint closed the tunnel.
    TunnelClosedByEndpoint = tunnel::ENDPOINT_CLOSED;
    /// The endpoint reset the tunnel.
    TunnelResetByEndpoint = tunnel::ENDPOINT_RESET;
    /// No byte moved through the tunnel for too long.
    TunnelIdle = tunnel::IDLE;
    /// The drain's time was up.
    Drained = limit::DRAINED;
    /// A bug of evenkeel's.
    InternalError = limit::INTERNAL;
}

/// The body of an attempt that was reset before its response; of a request that was sent again, the
/// verdict says so in it.
macro_rules! reset_body {
    ($why:literal) => {
        concat!(
            "upstream connect error or disconnect/reset before headers. reset reason: ",
            $why
        )
    };
}
use reset_body;

impl Told {
    /// The status of evenkeel's own answer.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status),
            Self::Nobody | Self::Cut | Self::Response => None,
        }
    }
}
