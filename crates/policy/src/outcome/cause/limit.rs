//! Limits that were met: of time, of load, of retries.

use super::{Row, Told, reset_body};
use crate::outcome::Flag;

/// A request that is refused since there is too much to do.
const fn overflow([happened, look, set]: [&'static str; 3]) -> Row {
    Row {
        flag: Some(Flag::UO),
        told: Told::Status(503),
        details: "upstream_reset_before_response_started{overflow}",
        body: reset_body!("overflow"),
        happened,
        look,
        set,
    }
}

pub(super) const REQUESTS: Row = overflow([
    "As many requests to the backend were in flight as may be.",
    "Whether the backend has become slower: requests that take longer are more at once.",
    "`circuitBreaker.maxParallelRequests` of the BackendTrafficPolicy (default 1024).",
]);

pub(super) const PENDING: Row = overflow([
    "Every connection was in use, and as many requests waited for one as may wait.",
    "Which limit keeps connections few: the sentence names it.",
    "`circuitBreaker.maxConnections`, `circuitBreaker.perEndpoint.maxConnections`, `adaptiveConcurrency`; or \
     `circuitBreaker.maxPendingRequests` for a longer queue.",
]);

pub(super) const QUEUE_OVERLOAD: Row = overflow([
    "Every connection was in use, and more requests would have waited in vain: the queue had not been empty for \
     `queue.interval`, or no request had ended for half of `queue.maxWait`.",
    "Whether the backend serves fewer requests than come.",
    "More endpoints; `queue.interval` of the BackendTrafficPolicy (default 100ms) is how long a queue may last \
     before it counts as overloaded.",
]);

pub(super) const QUEUE_TIMEOUT: Row = overflow([
    "Every connection was in use, and the request waited for one as long as it may.",
    "Which limit keeps connections few: the sentence names it.",
    "`queue.maxWait` of the BackendTrafficPolicy (default 1s), or the limit that keeps connections few.",
]);

/// A response that goes to the client as it is, since nothing more was done for a better one.
const fn as_it_is(flag: Flag, details: &'static str, [happened, look, set]: [&'static str; 3]) -> Row {
    Row {
        flag: Some(flag),
        told: Told::Response,
        details,
        body: "",
        happened,
        look,
        set,
    }
}

pub(super) const RETRY_BUDGET: Row = as_it_is(
    Flag::UO,
    "retry_budget_exceeded",
    [
        "evenkeel would have sent the request again, and the backend's retry budget was spent. The client got \
         what there was: the endpoint's response, or that of the failure. After a failure its flag and details \
         are those of the failure, with `UO` added.",
        "How many of the backend's requests fail: a retry budget is spent when many do.",
        "`retryConstraint` or `circuitBreaker.retryBudget` of the BackendTrafficPolicy (default: 20 % of the \
         requests of one second, at least 10, and a burst of 50 after quieter times).",
    ],
);

pub(super) const RETRIES: Row = as_it_is(
    Flag::UO,
    "retry_overflow",
    [
        "evenkeel would have sent the request again, and as many retries as may be were in flight. The client got \
         what there was, as with a spent retry budget.",
        "How many of the backend's requests fail.",
        "`circuitBreaker.maxParallelRetries` of the BackendTrafficPolicy (default 1024).",
    ],
);

pub(super) const ATTEMPTS: Row = as_it_is(
    Flag::URX,
    "via_upstream",
    [
        "The endpoint's last response was one that the route's `retry` repeats, and the request had been sent as \
         often as it may be. `URX` is also added to the flag of a failure after as many attempts.",
        "Why the endpoint keeps answering so.",
        "`retry.attempts` of the HTTPRoute, or `retry.numRetries` of the BackendTrafficPolicy.",
    ],
);

/// A time limit that ran out before the response's head.
const fn late(
    flag: Flag,
    details: &'static str,
    body: &'static str,
    [happened, look, set]: [&'static str; 3],
) -> Row {
    Row {
        flag: Some(flag),
        told: Told::Status(504),
        details,
        body,
        happened,
        look,
        set,
    }
}

/// A time limit that ran out after the response's head.
const fn late_inside(flag: Flag, details: &'static str, [happened, look, set]: [&'static str; 3]) -> Row {
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

const TIMEOUT: &str = "upstream request timeout";

pub(super) const PER_TRY_TIMEOUT: Row = late(
    Flag::UT,
    "upstream_per_try_timeout",
    TIMEOUT,
    [
        "One attempt took longer than it may.",
        "Why the endpoint is slow; the sentence says how far the attempt had come.",
        "`timeouts.backendRequest` of the HTTPRoute, or `timeout.http.perTryTimeout` of the BackendTrafficPolicy.",
    ],
);

pub(super) const REQUEST_TIMEOUT: Row = late(
    Flag::UT,
    "response_timeout",
    TIMEOUT,
    [
        "The request took longer than it may, all attempts together.",
        "Why the endpoint is slow; the sentence says what was waited for.",
        "`timeouts.request` of the HTTPRoute, or `timeout.http.requestTimeout` of the BackendTrafficPolicy.",
    ],
);

pub(super) const REQUEST_TIMEOUT_IN_RESPONSE: Row = late_inside(
    Flag::UT,
    "response_timeout",
    [
        "The request took longer than it may, and its response had begun: the client's connection was cut.",
        "Whether the response is a long one by its nature, such as a download or a stream of events.",
        "`timeouts.request` of the HTTPRoute (`0s` is no limit), or `timeout.http.requestTimeout` of the \
         BackendTrafficPolicy.",
    ],
);

pub(super) const STREAM_IDLE: Row = late(
    Flag::SI,
    "stream_idle_timeout",
    "stream timeout",
    [
        "No byte came from the endpoint for as long as a stream may idle, and it had not answered yet.",
        "Why the endpoint is slow.",
        "`timeout.http.streamIdleTimeout` of the BackendTrafficPolicy (default 5m).",
    ],
);

pub(super) const STREAM_IDLE_IN_RESPONSE: Row = late_inside(
    Flag::SI,
    "stream_idle_timeout",
    [
        "No byte of the endpoint's response came for as long as a stream may idle.",
        "Whether the response is one with long pauses, such as a stream of events.",
        "`timeout.http.streamIdleTimeout` of the BackendTrafficPolicy (default 5m; `0s` is no limit).",
    ],
);

pub(super) const DRAINED: Row = Row {
    flag: Some(Flag::LR),
    told: Told::Cut,
    details: "drain_timeout",
    body: "",
    happened: "evenkeel was told to end, and the exchange (or tunnel) was not over when the drain's time was up.",
    look: "How long requests and tunnels last.",
    set: "`--drain-timeout`.",
};

pub(super) const INTERNAL: Row = Row {
    flag: Some(Flag::LR),
    told: Told::Nobody,
    details: "internal_error",
    body: "",
    happened: "A bug of evenkeel's ended the exchange. Standard error has the panic's message.",
    look: "Standard error at that moment; please report it.",
    set: "Nothing.",
};
