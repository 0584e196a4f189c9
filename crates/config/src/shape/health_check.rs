//! BackendTrafficPolicy's `healthCheck`.

use super::overload::MOST;
use super::traffic_policy::REMOVE;
use super::{Choice, Format, Kind, Shape, comes_later, field, later, word};

pub(super) static HEALTH_CHECK: Shape = Shape {
    name: "`healthCheck`",
    fields: &[
        field(
            "panicThreshold",
            Kind::Int(0, 100),
            "With a smaller share of the endpoints in service, in percent, all are used; `0` never.",
        )
        .default("`50`"),
        field(
            "active",
            Kind::Object(&ACTIVE),
            "Endpoints are asked for their health.",
        )
        .default("none"),
        field(
            "passive",
            Kind::Object(&PASSIVE),
            "Endpoints that fail requests sit out for a while. A race with a closing connection never counts. The \
             block replaces the default whole; with `consecutive5XxErrors: 0` and \
             `consecutiveLocalOriginFailures: 0`, and no other threshold set, none is ever ejected.",
        )
        .default(
            "5 gateway errors or 5 local failures in a row, for `10s`; at most 50 % of the endpoints at once",
        ),
    ],
};

static ACTIVE: Shape = Shape {
    name: "`active`",
    fields: &[
        field(
            "type",
            Kind::Choice(TYPES),
            "`HTTP` sends a request; `TCP` connects, and sends and reads what `tcp` says.",
        )
        .required(),
        field(
            "timeout",
            Kind::Duration { least_ms: 1 },
            "A check takes no longer.",
        )
        .default("`1s`"),
        field(
            "interval",
            Kind::Duration { least_ms: 10 },
            "Between checks of an endpoint.",
        )
        .default("`3s`"),
        field(
            "initialJitter",
            Kind::Duration { least_ms: 0 },
            "The first check comes within this, by chance.",
        )
        .default("`interval`"),
        field(
            "unhealthyThreshold",
            Kind::Int(1, MOST),
            "Failed checks in a row that take an endpoint out.",
        )
        .default("`3`"),
        field(
            "healthyThreshold",
            Kind::Int(1, MOST),
            "Good checks in a row that take it in again.",
        )
        .default("`1`"),
        field("http", Kind::Object(&HTTP), "What `HTTP` asks and expects."),
        field("tcp", Kind::Object(&TCP), "What `TCP` sends and expects.").default("it only connects"),
        field("overrides", Kind::Object(&OVERRIDES), "Where the checks go."),
        comes_later("grpc", "checks by gRPC come with HTTP/2; use `type: TCP`"),
        comes_later("healthCheckLog", REMOVE),
    ],
};

const TYPES: &[Choice] = &[
    word("HTTP"),
    word("TCP"),
    later("GRPC", "checks by gRPC come with HTTP/2; use `TCP`"),
];

static HTTP: Shape = Shape {
    name: "`http`",
    fields: &[
        field(
            "hostname",
            Kind::Text(Format::PreciseHostname),
            "The `Host` field.",
        )
        .default("the name of the endpoints, if they have one; else a name that a route to them serves; else the address"),
        field("path", Kind::Text(Format::PathAndQuery), "The path, perhaps with a query.").required(),
        field("method", Kind::Choice(METHODS), "The method.").default("`GET`"),
        field(
            "expectedStatuses",
            Kind::Ints {
                of: (100, 599),
                most: 64,
            },
            "Good statuses.",
        )
        .default("`[200]`"),
        field(
            "retriableStatuses",
            Kind::Ints {
                of: (100, 599),
                most: 64,
            },
            "Statuses that count towards `unhealthyThreshold`; another bad one takes the endpoint out at once.",
        )
        .default("none"),
        field(
            "expectedResponse",
            Kind::Object(&PAYLOAD),
            "What must be in the body, in one piece.",
        )
        .default("any body"),
        comes_later("requestBody", "checks have no body; use `method: GET`"),
    ],
};

const METHODS: &[Choice] = &[
    word("GET"),
    word("HEAD"),
    word("OPTIONS"),
    word("POST"),
    word("PUT"),
    word("PATCH"),
    word("DELETE"),
    word("TRACE"),
];

static TCP: Shape = Shape {
    name: "`tcp`",
    fields: &[
        field("send", Kind::Object(&PAYLOAD), "What is sent.").default("nothing"),
        field(
            "receive",
            Kind::Object(&PAYLOAD),
            "What must be in the answer, in one piece.",
        )
        .default("any answer, or none"),
    ],
};

static PAYLOAD: Shape = Shape {
    name: "the payload",
    fields: &[
        field("type", Kind::Choice(PAYLOADS), "Which of the fields below it is.").required(),
        field("text", Kind::Text(Format::Plain), "As text."),
        field("binary", Kind::Text(Format::Base64), "Any bytes."),
    ],
};

const PAYLOADS: &[Choice] = &[word("Text"), word("Binary")];

static OVERRIDES: Shape = Shape {
    name: "`overrides`",
    fields: &[field("port", Kind::Int(1, 65_535), "Another port.").default("the endpoint's")],
};

static PASSIVE: Shape = Shape {
    name: "`passive`",
    fields: &[
        field(
            "splitExternalLocalOriginErrors",
            Kind::Bool,
            "Whether local failures (connects, resets, timeouts) count apart from answers.",
        )
        .default("`false`"),
        field(
            "interval",
            Kind::Duration { least_ms: 10 },
            "How often rates are looked at and ejections end.",
        )
        .default("`3s`"),
        field(
            "consecutive5XxErrors",
            Kind::Int(0, MOST),
            "5xx answers in a row, and local failures unless they are split; `0` is off.",
        )
        .default("`5`"),
        field(
            "consecutiveGatewayErrors",
            Kind::Int(0, MOST),
            "502, 503 and 504 in a row; `0` is off.",
        )
        .default("`0`"),
        field(
            "consecutiveLocalOriginFailures",
            Kind::Int(0, MOST),
            "Local failures in a row; `0` is off.",
        )
        .default("`5`"),
        field(
            "successRateStdevFactor",
            Kind::Int(0, 100_000),
            "An endpoint whose success rate is so many thousandths of a standard deviation below the mean is \
             ejected; `0` is off. Envoy's usual value is `1900`.",
        )
        .default("`0`"),
        field(
            "failurePercentageThreshold",
            Kind::Int(0, 100),
            "An endpoint that fails this share of its requests, in percent, is ejected; `0` is off.",
        )
        .default("`0`"),
        field(
            "requestVolume",
            Kind::Int(1, MOST),
            "With fewer requests in an interval, an endpoint's rates are not looked at.",
        )
        .default("`50`"),
        field(
            "baseEjectionTime",
            Kind::Duration { least_ms: 1 },
            "The first ejection; the second in a row lasts twice as long, and so on.",
        )
        .default("`30s`"),
        field(
            "maxEjectionTime",
            Kind::Duration { least_ms: 1 },
            "The longest ejection.",
        )
        .default("`5m`, or `baseEjectionTime` if that is longer"),
        field(
            "maxEjectionPercent",
            Kind::Int(0, 100),
            "At most this share of the endpoints sits out at once, in percent.",
        )
        .default("`10`"),
        comes_later("alwaysEjectOneEndpoint", "raise `maxEjectionPercent`"),
    ],
};
