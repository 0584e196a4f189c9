//! BackendTrafficPolicy's `rateLimit`.

use super::overload::MOST;
use super::traffic_policy::REMOVE;
use super::{Choice, Format, Kind, Shape, comes_later, field, later, word};

pub(super) static RATE_LIMIT: Shape = Shape {
    name: "`rateLimit`",
    fields: &[
        field(
            "type",
            Kind::Choice(TYPES),
            "Where requests are counted; it follows from `local`, and need not be said.",
        )
        .default("`Local`"),
        field("local", Kind::Object(&LOCAL), "Counted by this process alone."),
        comes_later("global", GLOBAL),
    ],
};

const GLOBAL: &str = "a count of all instances needs a service that they share, which every request would wait for; \
                      use `type: Local`, and divide the limit by the number of instances";
const TYPES: &[Choice] = &[word("Local"), later("Global", GLOBAL)];

static LOCAL: Shape = Shape {
    name: "`local`",
    fields: &[field(
        "rules",
        Kind::Objects {
            of: &RULE,
            least: 1,
            most: 128,
        },
        "All that match a request bound it, so the strictest decides; past the limit the answer is 429, and the \
         request is taken out of no bucket. A request that none matches is not bounded.",
    )
    .required()],
};

static RULE: Shape = Shape {
    name: "the rate limit's rule",
    fields: &[
        field(
            "clientSelectors",
            Kind::Objects {
                of: &SELECTOR,
                least: 1,
                most: 8,
            },
            "Which requests; all of them must hold.",
        )
        .default("every request"),
        field("limit", Kind::Object(&LIMIT), "How many requests.").required(),
        comes_later("cost", REMOVE),
        field(
            "shared",
            Kind::Bool,
            "Whether all routes that the policy bounds share the rule's buckets. Otherwise each route has its own.",
        )
        .default("`false`"),
        comes_later("shadowMode", REMOVE),
    ],
};

static SELECTOR: Shape = Shape {
    name: "the client selector",
    fields: &[
        field(
            "headers",
            Kind::Objects {
                of: &HEADER,
                least: 1,
                most: 16,
            },
            "Fields; all must match.",
        ),
        field(
            "sourceCIDR",
            Kind::Object(&SOURCE),
            "The network that the client's address must be in.",
        ),
        comes_later(
            "methods",
            "match the method in the HTTPRoute, and target that rule",
        ),
        comes_later("path", "match the path in the HTTPRoute, and target that rule"),
        comes_later(
            "queryParams",
            "match the parameter in the HTTPRoute, and target that rule",
        ),
    ],
};

static HEADER: Shape = Shape {
    name: "the header",
    fields: &[
        field(
            "type",
            Kind::Choice(MATCHES),
            "`Exact`: this value. `Present`: any value. `Distinct`: each value has a bucket of its own, and requests \
             without the field share one.",
        )
        .default("`Exact`"),
        field("name", Kind::Text(Format::FieldName), "The field's name.").required(),
        field(
            "value",
            Kind::Text(Format::FieldValue),
            "The value, letter by letter; of `Exact` alone.",
        ),
        comes_later("invert", REMOVE),
    ],
};

const MATCHES: &[Choice] = &[
    word("Exact"),
    word("Present"),
    word("Distinct"),
    later(
        "RegularExpression",
        "match the field in the HTTPRoute, and target that rule",
    ),
];

static SOURCE: Shape = Shape {
    name: "`sourceCIDR`",
    fields: &[
        field(
            "type",
            Kind::Choice(SOURCES),
            "`Distinct`: each client has a bucket of its own, by the prefix of its address below. `Exact`: all of the network share one.",
        )
        .default("`Exact`"),
        field(
            "value",
            Kind::Text(Format::Network),
            "Address and prefix length: `0.0.0.0/0` is every IPv4 address, `::/0` every IPv6 one.",
        )
        .required(),
        field(
            "ipv4PrefixLength",
            Kind::Int(0, 32),
            "Of `Distinct`: how many bits of an IPv4 address tell a client from others. A field of evenkeel's.",
        )
        .default("`32`"),
        field(
            "ipv6PrefixLength",
            Kind::Int(0, 128),
            "Of `Distinct`: how many bits of an IPv6 address tell a client from others. One household or machine has a \
             network of 64 bits at least, and may use any address in it. A field of evenkeel's.",
        )
        .default("`64`"),
        comes_later("invert", REMOVE),
    ],
};

const SOURCES: &[Choice] = &[word("Exact"), word("Distinct")];

static LIMIT: Shape = Shape {
    name: "`limit`",
    fields: &[
        field(
            "requests",
            Kind::Int(1, MOST),
            "Requests that a bucket holds, and regains within the unit.",
        )
        .required(),
        field("unit", Kind::Choice(UNITS), "The time.").required(),
    ],
};

const UNITS: &[Choice] = &[
    word("Second"),
    word("Minute"),
    word("Hour"),
    word("Day"),
    later("Month", "use `Day`"),
    later("Year", "use `Day`"),
];
