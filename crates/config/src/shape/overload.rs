//! The blocks of BackendTrafficPolicy that keep an overload where it is.

use super::retry_budget::RETRY_BUDGET;
use super::{Kind, Shape, comes_later, field};

/// Counts are held in 32 bits.
pub(super) const MOST: i64 = 4_294_967_295;

pub(super) static BREAKER: Shape = Shape {
    name: "`circuitBreaker`",
    fields: &[
        field(
            "maxConnections",
            Kind::Int(0, MOST),
            "Connections open or opening.",
        )
        .default("`1024`"),
        field(
            "maxPendingRequests",
            Kind::Int(0, MOST),
            "Requests that wait for a connection.",
        )
        .default("`1024`"),
        field("maxParallelRequests", Kind::Int(0, MOST), "Requests in flight.").default("`1024`"),
        field("maxParallelRetries", Kind::Int(0, MOST), "Retries in flight.").default("`1024`"),
        field(
            "maxRequestsPerConnection",
            Kind::Int(0, MOST),
            "A connection is closed after so many; `0` is no limit.",
        )
        .default("no limit"),
        field(
            "perEndpoint",
            Kind::Object(&PER_ENDPOINT),
            "Limits of each endpoint.",
        ),
        field(
            "retryBudget",
            Kind::Object(&RETRY_BUDGET),
            "How much of the requests in flight may be retries and hedges, at once. Excludes `retryConstraint`.",
        )
        .default("that of `retryConstraint`"),
    ],
};

static PER_ENDPOINT: Shape = Shape {
    name: "`perEndpoint`",
    fields: &[field(
        "maxConnections",
        Kind::Int(1, MOST),
        "Connections to one endpoint.",
    )
    .default("no limit of its own")],
};

pub(super) static QUEUE: Shape = Shape {
    name: "`queue`",
    fields: &[
        field(
            "interval",
            Kind::Duration { least_ms: 1 },
            "A queue that has not been empty for this long is overloaded: then the newest request is served \
             first, and what would wait in vain is refused at once.",
        )
        .default("`100ms`"),
        field(
            "maxWait",
            Kind::Duration { least_ms: 1 },
            "A request that has waited this long is refused; never past its own timeouts.",
        )
        .default("`1s`"),
    ],
};

pub(super) static HEDGE: Shape = Shape {
    name: "`hedge`",
    fields: &[
        field(
            "quantile",
            Kind::Number(0.5, 0.999),
            "The share of requests that are faster than the wait before a hedge.",
        )
        .default("`0.95`"),
        field(
            "minDelay",
            Kind::Duration { least_ms: 1 },
            "The wait is never shorter.",
        )
        .default("`5ms`"),
    ],
};

pub(super) static ADAPTIVE: Shape = Shape {
    name: "`adaptiveConcurrency`",
    fields: &[
        field("minLimit", Kind::Int(1, MOST), "The limit is never lower.").default("`4`"),
        field("maxLimit", Kind::Int(1, MOST), "The limit is never higher.").default("`1024`"),
        comes_later(
            "gradientController",
            "use `minLimit`, `maxLimit` and `tolerance`, or `{}`",
        ),
        comes_later("concurrencyLimitExceededStatus", "it is 503; remove it"),
        field(
            "tolerance",
            Kind::Number(1.0, 10.0),
            "How much slower than at rest is borne, as a factor.",
        )
        .default("`1.5`"),
    ],
};

pub(super) static AUTO_TIMEOUT: Shape = Shape {
    name: "`autoTimeout`",
    fields: &[
        field(
            "factor",
            Kind::Number(1.0, 100.0),
            "Times the time within which 99 % of the responses are complete.",
        )
        .default("`5`"),
        field(
            "least",
            Kind::Duration { least_ms: 1 },
            "The timeout is never shorter.",
        )
        .default("`1s`"),
        field(
            "most",
            Kind::Duration { least_ms: 1 },
            "The timeout is never longer; it holds until enough responses are known.",
        )
        .default("`60s`"),
    ],
};
