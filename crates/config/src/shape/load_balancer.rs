//! BackendTrafficPolicy's `loadBalancer`.

use super::traffic_policy::REMOVE;
use super::{Choice, Format, Kind, Shape, comes_later, field, later, word};

pub(super) static BALANCER: Shape = Shape {
    name: "`loadBalancer`",
    fields: &[
        field(
            "type",
            Kind::Choice(TYPES),
            "`LeastRequest` draws two by chance and takes the less busy one; `PeakEWMA` weighs how busy they are by \
             how slow they have been.",
        )
        .required(),
        field(
            "consistentHash",
            Kind::Object(&HASH),
            "With `type: ConsistentHash`: the same endpoint for the same key, as far as it is in service.",
        ),
        field(
            "slowStart",
            Kind::Object(&SLOW_START),
            "A new or returned endpoint gets its full share little by little. Not with `ConsistentHash`.",
        ),
        comes_later("zoneAware", REMOVE),
        comes_later("endpointOverride", REMOVE),
        comes_later("backendUtilization", REMOVE),
        comes_later("dynamicModule", REMOVE),
    ],
};

const TYPES: &[Choice] = &[
    word("LeastRequest"),
    word("RoundRobin"),
    word("Random"),
    word("ConsistentHash"),
    word("PeakEWMA"),
    later("BackendUtilization", "use `LeastRequest` or `PeakEWMA`"),
    later("DynamicModule", "use `LeastRequest`"),
];

static HASH: Shape = Shape {
    name: "`consistentHash`",
    fields: &[
        field(
            "type",
            Kind::Choice(KEYS),
            "What is hashed; but for `SourceIP`, the field of its name says more. A request without it goes by chance.",
        )
        .required(),
        field("header", Kind::Object(&HEADER), "One field."),
        field(
            "headers",
            Kind::Objects {
                of: &HEADER,
                least: 1,
                most: 8,
            },
            "Several fields, hashed together.",
        ),
        field("cookie", Kind::Object(&COOKIE), "A cookie."),
        field("algorithm", Kind::Choice(ALGORITHMS), "How keys are spread.").default("`Maglev`"),
        field(
            "tableSize",
            Kind::Int(2, 5_000_011),
            "Maglev: the table's size, a prime, best above a hundred times the endpoints. Ring: its points, at least.",
        )
        .default("`65537`; `1024` with `algorithm: Ring`"),
        comes_later("queryParams", "use `type: Header` or `type: Cookie`"),
    ],
};

const KEYS: &[Choice] = &[
    word("SourceIP"),
    word("Header"),
    word("Headers"),
    word("Cookie"),
    later("QueryParams", "use `Header` or `Cookie`"),
];

const ALGORITHMS: &[Choice] = &[word("Maglev"), word("Ring")];

static HEADER: Shape = Shape {
    name: "the header",
    fields: &[field("name", Kind::Text(Format::FieldName), "Its name.").required()],
};

static COOKIE: Shape = Shape {
    name: "`cookie`",
    fields: &[
        field("name", Kind::Text(Format::CookieName), "Its name.").required(),
        field(
            "ttl",
            Kind::Duration { least_ms: 1000 },
            "A client without the cookie is given one that lives this long.",
        )
        .default("none is given"),
        field("attributes", Kind::Labels, "").ignored("a cookie that is made has `Path=/` and `HttpOnly`"),
    ],
};

static SLOW_START: Shape = Shape {
    name: "`slowStart`",
    fields: &[field(
        "window",
        Kind::Duration { least_ms: 0 },
        "After this long it has its full share; `0s` is at once.",
    )
    .required()],
};
