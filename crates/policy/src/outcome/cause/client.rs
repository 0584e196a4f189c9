//! What clients do.

use super::{Row, Told};
use crate::outcome::Flag;

/// A request that evenkeel does not forward.
const fn refused(
    status: u16,
    details: &'static str,
    body: &'static str,
    [happened, look, set]: [&'static str; 3],
) -> Row {
    Row {
        flag: Some(Flag::DPE),
        told: Told::Status(status),
        details,
        body,
        happened,
        look,
        set,
    }
}

const NOTHING: &str = "Nothing: evenkeel forwards no request that two parsers could read differently.";

pub(super) const BAD_REQUEST: Row = refused(
    400,
    "http1.codec_error",
    "Bad Request",
    [
        "The request's head is malformed or ambiguous. The sentence says which rule it breaks.",
        "The client's software, or what rewrites requests before evenkeel. The log line has the method, path, \
         host and user agent as far as they could be read.",
        NOTHING,
    ],
);

pub(super) const BAD_REQUEST_BODY: Row = refused(
    400,
    "http1.codec_error",
    "Bad Request",
    [
        "The request's chunked body is malformed.",
        "The client's software.",
        NOTHING,
    ],
);

pub(super) const OTHER_PROTOCOL: Row = refused(
    400,
    "http1.codec_error",
    "Bad Request",
    [
        "The client's first bytes belong to another protocol: TLS, HTTP/2, SSH, SOCKS, or a PROXY protocol \
         header before the request.",
        "What stands before evenkeel: a load balancer that sends the PROXY protocol, or a client that was given \
         an `https://` address for a plain port.",
        "Switch the PROXY protocol off in the load balancer, or point the client at the right port and scheme.",
    ],
);

pub(super) const HEAD_TOO_LARGE: Row = refused(
    431,
    "http1.headers_too_large",
    "Request Header Fields Too Large",
    [
        "The request's head has more bytes than the limit.",
        "The largest fields, mostly cookies or tokens.",
        "`headers.maxBytes` of the ClientTrafficPolicy (default 60Ki, which is also the most).",
    ],
);

pub(super) const TOO_MANY_FIELDS: Row = refused(
    431,
    "http1.too_many_headers",
    "Request Header Fields Too Large",
    [
        "The request's head has more fields than the limit.",
        "The client's software, or what adds fields before evenkeel.",
        "`headers.maxFields` of the ClientTrafficPolicy (default 100).",
    ],
);

pub(super) const BODY_TOO_LARGE: Row = refused(
    413,
    "request_payload_too_large",
    "Payload Too Large",
    [
        "The request's body has more bytes than the limit. A body whose `Content-Length` says so is refused before \
         anything is sent to an endpoint; of a chunked one the bytes are counted, and the endpoint's connection is \
         closed. The endpoint is not at fault and is not charged.",
        "What the client uploads.",
        "`maxRequestBodyBytes` of the BackendTrafficPolicy (default: no limit).",
    ],
);

pub(super) const LINE_TOO_LONG: Row = refused(
    414,
    "http1.headers_too_large",
    "URI Too Long",
    [
        "The request line is longer than the limit.",
        "What puts so much into the path or query. A `POST` can carry it in its body.",
        "`headers.maxRequestLineBytes` of the ClientTrafficPolicy (default 16Ki).",
    ],
);

pub(super) const CONNECT: Row = refused(
    405,
    "upgrade_failed",
    "Method Not Allowed",
    [
        "The request's method is `CONNECT`, which evenkeel does not offer.",
        "A client that takes evenkeel for a forward proxy.",
        "Nothing.",
    ],
);

pub(super) const EXPECTATION: Row = refused(
    417,
    "http1.codec_error",
    "Expectation Failed",
    [
        "`Expect` asks for something other than `100-continue`.",
        "The client's software.",
        "Nothing.",
    ],
);

pub(super) const NOT_IMPLEMENTED: Row = refused(
    501,
    "http1.invalid_transfer_encoding",
    "Not Implemented",
    [
        "The request needs something that evenkeel does not offer: mostly a `Transfer-Encoding` other than `chunked`.",
        "The client's software.",
        "Nothing.",
    ],
);

pub(super) const VERSION: Row = refused(
    505,
    "http1.codec_error",
    "HTTP Version Not Supported",
    [
        "The request is of a version of HTTP that this listener does not speak.",
        "The client's software, or a client that begins with HTTP/2 where the listener speaks HTTP/1.",
        "Have the client speak HTTP/1.1.",
    ],
);

pub(super) const HEAD_TIMEOUT: Row = refused(
    408,
    "request_header_timeout",
    "request header timeout",
    [
        "The client began a request's head and did not finish it in time.",
        "A slow or broken client, or one that holds connections open on purpose. The log line has the head as \
         far as it came.",
        "`timeout.http.requestHeadersReceivedTimeout` of the ClientTrafficPolicy.",
    ],
);

pub(super) const HEAD_SHED: Row = refused(
    408,
    "overload",
    "request header timeout",
    [
        "All unfinished request heads took more memory than they may, and this one was the oldest.",
        "Clients that hold many connections open with unfinished heads, mostly on purpose. The counter is \
         `downstream_cx_head_overflow`.",
        "`--unfinished-heads-max` (default 64Mi), or a shorter `timeout.http.requestHeadersReceivedTimeout` of the \
         ClientTrafficPolicy.",
    ],
);

pub(super) const BODY_TIMEOUT: Row = Row {
    flag: Some(Flag::SI),
    told: Told::Status(408),
    details: "stream_idle_timeout",
    body: "stream timeout",
    happened: "The client stopped sending its request's body.",
    look: "The client and the network before evenkeel. The endpoint is not at fault and is not charged.",
    set: "`timeout.http.streamIdleTimeout` of the ClientTrafficPolicy (default 60s), or that of the \
          BackendTrafficPolicy (default 5m): the shorter one counts.",
};

pub(super) const LEFT: Row = Row {
    flag: Some(Flag::DC),
    told: Told::Nobody,
    details: "downstream_remote_disconnect",
    body: "",
    happened: "The client ended its connection before it had the whole response.",
    look: "How long the request had taken (`http_request_duration_ms`): clients leave when their own timeout \
           passes. The sentence says what evenkeel was waiting for.",
    set: "A shorter `timeouts.request` of the HTTPRoute answers before the client gives up; or a longer timeout \
          in the client.",
};

pub(super) const STUCK: Row = Row {
    flag: Some(Flag::SI),
    told: Told::Cut,
    details: "stream_idle_timeout",
    body: "",
    happened: "The client took no byte of its response for too long.",
    look: "The client: it has stopped reading.",
    set: "`timeout.http.streamIdleTimeout` of the ClientTrafficPolicy (default 60s), or that of the \
          BackendTrafficPolicy (default 5m): the shorter one counts.",
};

pub(super) const SLOW: Row = Row {
    flag: Some(Flag::DT),
    told: Told::Cut,
    details: "max_duration_timeout",
    body: "",
    happened: "The request took longer than it may, and evenkeel was waiting for the client to take more of its \
               response. The endpoint is not at fault and is not charged.",
    look: "The client and the network before evenkeel: it reads slowly.",
    set: "`timeouts.request` of the HTTPRoute (`0s` is no limit), or `timeout.http.requestTimeout` of the \
          BackendTrafficPolicy. `timeout.http.streamIdleTimeout` of the ClientTrafficPolicy ends clients that take \
          nothing at all.",
};
