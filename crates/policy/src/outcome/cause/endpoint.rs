//! What endpoints do.

use super::{Row, Told, reset_body};
use crate::outcome::Flag;

/// An attempt that ended before its response's head was complete.
const fn before(
    (status, flag): (u16, Flag),
    details: &'static str,
    body: &'static str,
    [happened, look, set]: [&'static str; 3],
) -> Row {
    Row {
        flag: Some(flag),
        told: Told::Status(status),
        details,
        body,
        happened,
        look,
        set,
    }
}

/// A response that ended after its head had gone on.
const fn inside(flag: Flag, details: &'static str, [happened, look, set]: [&'static str; 3]) -> Row {
    Row {
        flag: Some(flag),
        told: Told::Cut,
        details,
        body: "",
        happened,
        look,
        set,
    }
}

const SEND_AGAIN: &str = "An `Idempotency-Key` in the request, or `retry` on the route, if the endpoint can bear a \
                          request twice. The sentence says why evenkeel did not send the request again.";

pub(super) const NO_HEALTHY: Row = before(
    (503, Flag::UH),
    "no_healthy_upstream",
    "no healthy upstream",
    [
        "The backend has no endpoint in service: it has none at all, or all of them are out.",
        "`/clusters` of the admin: which endpoints are ejected or unhealthy, and why.",
        "`healthCheck.passive` and `healthCheck.active` of the BackendTrafficPolicy; `panicThreshold` decides \
         from when on endpoints that are out are used all the same.",
    ],
);

pub(super) const UNRESOLVED: Row = before(
    (503, Flag::DF),
    "dns_resolution_failure",
    "DNS resolution failure",
    [
        "The backend's endpoints are names, and none of them has an address.",
        "The name as it is written, and what the resolver answers for it on this machine.",
        "`endpoints` of the Backend.",
    ],
);

pub(super) const CONNECT_REFUSED: Row = before(
    (503, Flag::UF),
    "upstream_reset_before_response_started{remote_connection_failure|connection_refused}",
    reset_body!("remote connection failure, transport failure reason: connection refused"),
    [
        "Nothing listens at the endpoint's address: its machine refused the connection.",
        "Whether the endpoint's process runs, and on which address and port it listens.",
        "The right address in the Backend. `healthCheck.active` keeps requests away from an endpoint that is \
         down; with several endpoints another one is tried.",
    ],
);

pub(super) const CONNECT_TIMEOUT: Row = before(
    (503, Flag::UF),
    "upstream_reset_before_response_started{connection_timeout}",
    reset_body!("connection timeout"),
    [
        "The endpoint did not accept a connection in time.",
        "Firewalls and routes between evenkeel and the endpoint, and whether its accept queue is full.",
        "`timeout.tcp.connectTimeout` of the BackendTrafficPolicy (default 5s).",
    ],
);

pub(super) const CONNECT_FAILED: Row = before(
    (503, Flag::UF),
    "upstream_reset_before_response_started{remote_connection_failure}",
    reset_body!("remote connection failure"),
    [
        "The endpoint can not be reached: the network, the host or the socket file is not there.",
        "The sentence: it has the system's word for it.",
        "The right address in the Backend.",
    ],
);

pub(super) const TLS_FAILED: Row = before(
    (503, Flag::UF),
    "upstream_reset_before_response_started{remote_connection_failure,TLS_error}",
    reset_body!("remote connection failure, TLS error"),
    [
        "The TLS handshake with the endpoint failed, so no request was sent to it. The sentence says why; the operational \
         log and `/clusters` say more.",
        "The endpoint's certificate: `openssl s_client -connect ENDPOINT -servername HOSTNAME`.",
        "`validation` of the BackendTLSPolicy: `hostname`, and whose certificates are believed.",
    ],
);

pub(super) const CONNECT_FAILED_HERE: Row = before(
    (503, Flag::UF),
    "upstream_reset_before_response_started{local_connection_failure}",
    reset_body!("local connection failure"),
    [
        "evenkeel could not open a connection for a lack of its own: file descriptors, ports or memory.",
        "`ulimit -n` of evenkeel, and how many connections are open.",
        "A higher limit on file descriptors, or `circuitBreaker.maxConnections` below it.",
    ],
);

pub(super) const CLOSED: Row = before(
    (503, Flag::UC),
    "upstream_reset_before_response_started{connection_termination}",
    reset_body!("connection termination"),
    [
        "The endpoint closed the connection before it answered, and it is not proven that it had not received \
         the request.",
        "The endpoint's log at that moment: a crash, a restart, a request that it did not like. A new connection \
         that is closed at once may also mean another protocol (TLS, uwsgi, FastCGI).",
        SEND_AGAIN,
    ],
);

pub(super) const RESET: Row = before(
    (503, Flag::UC),
    "upstream_reset_before_response_started{connection_termination|connection_reset_by_peer}",
    reset_body!("connection termination, transport failure reason: connection reset by peer"),
    [
        "The endpoint reset the connection before it answered.",
        "The endpoint's log at that moment: a crash, or a close with unread bytes.",
        SEND_AGAIN,
    ],
);

pub(super) const LOST: Row = before(
    (503, Flag::UC),
    "upstream_reset_before_response_started{connection_termination|socket_error}",
    reset_body!("connection termination, transport failure reason: socket error"),
    [
        "The connection to the endpoint failed before it answered: the network said so, not the endpoint.",
        "The network between evenkeel and the endpoint.",
        SEND_AGAIN,
    ],
);

pub(super) const SILENT: Row = before(
    (503, Flag::UC),
    "upstream_reset_before_response_started{connection_termination|nothing_that_was_sent_is_acknowledged}",
    reset_body!("connection termination, transport failure reason: nothing that was sent is acknowledged"),
    [
        "Nothing that evenkeel sent was acknowledged: the path to the endpoint is dead.",
        "The network between evenkeel and the endpoint: a firewall or NAT that forgot the connection, a machine \
         that is gone.",
        "`tcpKeepalive` of the BackendTrafficPolicy finds dead idle connections earlier; \
         `timeout.tcp.connectTimeout` is how long a silence is borne.",
    ],
);

pub(super) const CUT: Row = inside(
    Flag::UC,
    "upstream_reset_after_response_started{connection_termination}",
    [
        "The endpoint closed the connection before its response was complete.",
        "The endpoint's log at that moment, and a time limit of its own on responses.",
        "Nothing in evenkeel: what the client has of the response can not be taken back.",
    ],
);

pub(super) const CUT_BY_RESET: Row = inside(
    Flag::UC,
    "upstream_reset_after_response_started{connection_termination|connection_reset_by_peer}",
    [
        "The endpoint reset the connection before its response was complete.",
        "The endpoint's log at that moment: a crash or a restart.",
        "Nothing in evenkeel: what the client has of the response can not be taken back.",
    ],
);

pub(super) const OTHER_PROTOCOL: Row = before(
    (502, Flag::UPE),
    "upstream_reset_before_response_started{protocol_error|other_protocol}",
    reset_body!("protocol error"),
    [
        "The endpoint speaks another protocol than HTTP/1: the sentence names it.",
        "The port in the Backend: it is that of another service, or of the endpoint's TLS or HTTP/2 side.",
        "The right port in the Backend.",
    ],
);

pub(super) const BAD_RESPONSE: Row = before(
    (502, Flag::UPE),
    "upstream_reset_before_response_started{protocol_error}",
    reset_body!("protocol error"),
    [
        "The endpoint's response is malformed or ambiguous. The sentence says which rule it breaks.",
        "The endpoint's software.",
        "Nothing: a client might read such a response differently.",
    ],
);

pub(super) const HEAD_TOO_LARGE: Row = before(
    (502, Flag::UPE),
    "upstream_reset_before_response_started{protocol_error|headers_too_large}",
    reset_body!("protocol error"),
    [
        "The head of the endpoint's response is larger than the limit.",
        "The largest fields, mostly `Set-Cookie` or `Content-Security-Policy`.",
        "The endpoint: send fewer or shorter fields.",
    ],
);

pub(super) const BAD_BODY: Row = inside(
    Flag::UPE,
    "upstream_reset_after_response_started{protocol_error}",
    [
        "The body of the endpoint's response is malformed, which was seen after the client had the head.",
        "The endpoint's software.",
        "Nothing.",
    ],
);
