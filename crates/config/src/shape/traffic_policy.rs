//! BackendTrafficPolicy.

use super::health_check::HEALTH_CHECK;
use super::load_balancer::BALANCER;
use super::overload::{ADAPTIVE, AUTO_TIMEOUT, BREAKER, HEDGE, QUEUE};
use super::rate_limit::RATE_LIMIT;
use super::retry_budget::RETRY_CONSTRAINT;
use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, later, word,
};

pub(crate) static BACKEND_TRAFFIC_POLICY: KindShape = KindShape {
    kind: ResourceKind::BackendTrafficPolicy,
    name: "BackendTrafficPolicy",
    versions: &["evenkeel.dev/v1alpha1", "gateway.envoyproxy.io/v1alpha1"],
    old_versions: &[],
    doc: "How backends are treated: time limits, retries, connections, overload; and how many requests routes \
          take. The policy with the most specific \
          target holds, whole: a rule's before an HTTPRoute's, before a Backend's, before a Gateway's.",
    example: include_str!("examples/traffic_policy.yaml"),
    root: &Shape {
        name: "BackendTrafficPolicy",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "The policy.").required(),
            STATUS,
        ],
    },
};

pub(super) const REMOVE: &str = "it comes in a later release; remove it";

static SPEC: Shape = Shape {
    name: "the BackendTrafficPolicy's spec",
    fields: &[
        field(
            "targetRef",
            Kind::Object(&TARGET),
            "What it applies to; excludes `targetRefs`.",
        ),
        field(
            "malformedResponses",
            Kind::Choice(&[word("Mend"), word("Refuse")]),
            "What becomes of responses that are not as RFC 9112 has them but can be read in one way only, such as \
             the same `Content-Length` twice: they are mended, or answered with 502.",
        )
        .default("`Mend`"),
        field(
            "maxRequestBodyBytes",
            Kind::Quantity(0, 1 << 40),
            "Bytes that a request's body may have; past them the answer is 413. A longer `Content-Length` is refused \
             before anything is sent to an endpoint; the bytes of chunked bodies are counted as they come. `0` takes no \
             body at all. A field of evenkeel's: Envoy Gateway's `requestBuffer.limit` buffers, this does not.",
        )
        .default("no limit"),
        field(
            "targetRefs",
            Kind::Objects {
                of: &TARGET,
                least: 1,
                most: 16,
            },
            "What it applies to.",
        ),
        field("timeout", Kind::Object(&TIMEOUT), "Time limits."),
        field(
            "retry",
            Kind::Object(&RETRY),
            "When a failed attempt is made again. Present, it replaces the default whole, for every method.",
        )
        .default("replay when proven unapplied; one retry of idempotent requests on a reset"),
        field(
            "keepAlive",
            Kind::Object(&KEEP_ALIVE),
            "Idle connections and replays.",
        ),
        field(
            "tcpKeepalive",
            Kind::Object(&TCP_KEEPALIVE),
            "TCP's own probes on idle connections.",
        ),
        field(
            "circuitBreaker",
            Kind::Object(&BREAKER),
            "Limits, each exact over all workers.",
        ),
        field(
            "retryConstraint",
            Kind::Object(&RETRY_CONSTRAINT),
            "How much of the traffic may be retries and hedges, over time. Replays with proof are neither. \
             Excludes `circuitBreaker.retryBudget`.",
        )
        .default("20 % of the requests of one second, at least 10, and a burst of 50"),
        field("loadBalancer", Kind::Object(&BALANCER), "Which endpoint is next."),
        field(
            "healthCheck",
            Kind::Object(&HEALTH_CHECK),
            "Which endpoints sit out.",
        ),
        field(
            "queue",
            Kind::Object(&QUEUE),
            "How requests wait for a connection.",
        ),
        field(
            "hedge",
            Kind::Object(&HEDGE),
            "An idempotent request that takes longer than most is sent a second time, to another endpoint; \
             whoever answers first is heard. Hedges draw from the retry budget. `{}` takes the defaults.",
        )
        .default("none"),
        field(
            "adaptiveConcurrency",
            Kind::Object(&ADAPTIVE),
            "A limit of requests in flight to each endpoint that follows its latency. `{}` takes the defaults.",
        )
        .default("none"),
        field(
            "saturationGuard",
            Kind::Bool,
            "Whether an endpoint that is saturated, so that more requests in flight only wait inside it, is noticed and \
             given no more than it bears. A configured `adaptiveConcurrency` takes its place. A field of evenkeel's.",
        )
        .default("`false`"),
        field(
            "rateLimit",
            Kind::Object(&RATE_LIMIT),
            "How many requests a client may send. The policy's targets must be HTTPRoutes, rules or Gateways; \
             each route has buckets of its own, unless a rule says `shared`. Counted within this process.",
        )
        .default("none"),
        field("connection", Kind::Object(&CONNECTION), "Connections."),
        comes_later(
            "targetSelectors",
            "resources are not selected by labels; name them in `targetRefs`",
        ),
        comes_later(
            "mergeType",
            "policies are not merged: the most specific one holds; remove it",
        ),
        comes_later("proxyProtocol", REMOVE),
        comes_later("dns", REMOVE),
        comes_later("http2", "HTTP/2 comes later; remove it"),
        comes_later("bandwidthLimit", REMOVE),
        comes_later("faultInjection", REMOVE),
        comes_later("admissionControl", REMOVE),
        comes_later("useClientProtocol", REMOVE),
        comes_later("compression", REMOVE),
        comes_later("compressor", REMOVE),
        comes_later("responseOverride", REMOVE),
        comes_later("httpUpgrade", "upgrades such as WebSocket always pass; remove it"),
        comes_later(
            "requestBuffer",
            "requests stream; `keepAlive.replayBuffer` bounds what is kept",
        ),
        comes_later("telemetry", "use the kind `Telemetry`"),
        comes_later("routingType", REMOVE),
    ],
};

/// A policy's target.
pub(super) static TARGET: Shape = Shape {
    name: "the targetRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "The target's API group.").default("the kind's own"),
        field("kind", Kind::Choice(TARGET_KINDS), "The target's kind.").required(),
        field(
            "name",
            Kind::Text(Format::Name),
            "The target's name, in the policy's namespace.",
        )
        .required(),
        field(
            "sectionName",
            Kind::Text(Format::Name),
            "One rule of the HTTPRoute, by its `name`.",
        ),
    ],
};

const TARGET_KINDS: &[Choice] = &[
    word("Gateway"),
    word("HTTPRoute"),
    word("Backend"),
    later("GRPCRoute", "gRPC comes in a later release"),
    later("Service", "in files a policy targets a Backend"),
];

static TIMEOUT: Shape = Shape {
    name: "`timeout`",
    fields: &[
        field("tcp", Kind::Object(&TIMEOUT_TCP), "Time limits of connections."),
        field("http", Kind::Object(&TIMEOUT_HTTP), "Time limits of requests."),
    ],
};

static TIMEOUT_TCP: Shape = Shape {
    name: "`timeout.tcp`",
    fields: &[field(
        "connectTimeout",
        Kind::Duration { least_ms: 1 },
        "Opening a connection; also how long a sent request may stay unacknowledged.",
    )
    .default("`5s`")],
};

static TIMEOUT_HTTP: Shape = Shape {
    name: "`timeout.http`",
    fields: &[
        field(
            "connectionIdleTimeout",
            Kind::Duration { least_ms: 1 },
            "The same as `keepAlive.idleTimeout`, which it excludes.",
        ),
        field(
            "maxConnectionDuration",
            Kind::Duration { least_ms: 0 },
            "A connection this old is closed instead of being reused; `0s` is no limit.",
        )
        .default("no limit"),
        field(
            "requestTimeout",
            Kind::Duration { least_ms: 0 },
            "The whole exchange with all attempts, from the moment at which the request has come whole; `0s` is no limit. The time that a client takes to send its body does not count.",
        )
        .default("no limit"),
        field(
            "perTryTimeout",
            Kind::Duration { least_ms: 0 },
            "One attempt, to the response head's end; it starts no earlier than the moment at which the request has come whole. `0s` is no limit.",
        )
        .default("no limit"),
        field(
            "streamIdleTimeout",
            Kind::Duration { least_ms: 0 },
            "evenkeel ends an exchange in which no byte has moved in either direction for this long: with 408 while it waits for the client, with 504 while it waits for the endpoint. `0s` is no limit.",
        )
        .default("`5m`"),
        field(
            "autoTimeout",
            Kind::Object(&AUTO_TIMEOUT),
            "The request timeout follows what is usual; excludes `requestTimeout`. `timeouts.request` of an \
             HTTPRoute wins over it. `{}` takes the defaults.",
        )
        .default("none"),
        comes_later("maxStreamDuration", "use `requestTimeout`"),
    ],
};

static RETRY: Shape = Shape {
    name: "`retry`",
    fields: &[
        field(
            "numRetries",
            Kind::Int(0, 100),
            "Most attempts after the first; `0` is none at all, proven replays included.",
        )
        .default("`2`"),
        field(
            "retryOn",
            Kind::Object(&RETRY_ON),
            "What makes an attempt worth repeating.",
        )
        .default("`connect-failure`, `reset-before-request`, status 503"),
        field("perRetry", Kind::Object(&PER_RETRY), "Each attempt."),
        field(
            "unsafeMethods",
            Kind::Choice(UNSAFE_METHODS),
            "What becomes of requests that are neither idempotent nor carry an `Idempotency-Key`, such as POST. \
             `Retry`: they are retried like others, so one may be applied more than once. `ProvenOnly`: they are \
             only sent again where it is proven that no endpoint applied them. It holds for an HTTPRoute's own \
             `retry`, too. A field of evenkeel's own.",
        )
        .default("`Retry`"),
        field("numAttemptsPerPriority", Kind::Int(0, 100), "").ignored("there are no priorities"),
    ],
};

const UNSAFE_METHODS: &[Choice] = &[word("Retry"), word("ProvenOnly")];

static RETRY_ON: Shape = Shape {
    name: "`retryOn`",
    fields: &[
        field(
            "triggers",
            Kind::Choices {
                of: TRIGGERS,
                most: 16,
            },
            "Conditions, by Envoy's names.",
        ),
        field(
            "httpStatusCodes",
            Kind::Ints {
                of: (100, 599),
                most: 64,
            },
            "Response statuses worth another attempt. Under `gateway.envoyproxy.io` they count only with the trigger \
             `retriable-status-codes`.",
        ),
    ],
};

const GRPC_LATER: &str = "retries by gRPC status come in a later release; remove it";
const TRIGGERS: &[Choice] = &[
    word("5xx"),
    word("gateway-error"),
    word("reset"),
    word("reset-before-request"),
    word("connect-failure"),
    word("retriable-4xx"),
    word("refused-stream"),
    word("retriable-status-codes"),
    later("cancelled", GRPC_LATER),
    later("deadline-exceeded", GRPC_LATER),
    later("internal", GRPC_LATER),
    later("resource-exhausted", GRPC_LATER),
    later("unavailable", GRPC_LATER),
];

static PER_RETRY: Shape = Shape {
    name: "`perRetry`",
    fields: &[
        field(
            "timeout",
            Kind::Duration { least_ms: 1 },
            "The same as `timeout.http.perTryTimeout`, which it excludes.",
        ),
        field(
            "backOff",
            Kind::Object(&BACK_OFF),
            "Pauses, half of them by chance.",
        )
        .default("none"),
    ],
};

static BACK_OFF: Shape = Shape {
    name: "`backOff`",
    fields: &[
        field(
            "baseInterval",
            Kind::Duration { least_ms: 1 },
            "The first pause; it doubles with each attempt.",
        )
        .default("`25ms`"),
        field(
            "maxInterval",
            Kind::Duration { least_ms: 1 },
            "The longest pause.",
        )
        .default("ten times `baseInterval`"),
    ],
};

static KEEP_ALIVE: Shape = Shape {
    name: "`keepAlive`",
    fields: &[
        field("idleTimeout", Kind::Duration { least_ms: 1 }, "An idle connection is closed after this long.").default("`60s`"),
        field("learn", Kind::Bool, "Whether the time at which endpoints close idle connections is learned, and they are not reused near it.")
            .default("`true`"),
        field("margin", Kind::Duration { least_ms: 0 }, "Added to one round trip before a learned close time.").default("`20ms`"),
        field("replayBuffer", Kind::Quantity(0, 16 << 20), "Bytes of a request kept until the response begins, for a replay; `0` keeps no body.")
            .default("`64Ki`"),
    ],
};

static TCP_KEEPALIVE: Shape = Shape {
    name: "`tcpKeepalive`",
    fields: &[
        field(
            "probes",
            Kind::Int(0, 127),
            "Unanswered probes before the connection is dead; `0` switches them off.",
        )
        .default("`3`"),
        field(
            "idleTime",
            Kind::Duration { least_ms: 1000 },
            "Silence before the first probe.",
        )
        .default("`30s`"),
        field("interval", Kind::Duration { least_ms: 1000 }, "Between probes.").default("`10s`"),
    ],
};

static CONNECTION: Shape = Shape {
    name: "`connection`",
    fields: &[
        field("bufferLimit", Kind::Quantity(0, 1 << 40), "")
            .ignored("bodies stream in bounded memory; `keepAlive.replayBuffer` bounds what is kept"),
        field("socketBufferLimit", Kind::Quantity(0, 1 << 40), "")
            .ignored("the kernel sizes socket buffers by itself"),
        comes_later("preconnect", REMOVE),
    ],
};
