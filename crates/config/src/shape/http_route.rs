//! HTTPRoute: parents, hostnames, rules, matches, references, time limits, retries.

use super::filter::FILTER;
use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, later, word,
};

pub(crate) static HTTP_ROUTE: KindShape = KindShape {
    kind: ResourceKind::HttpRoute,
    name: "HTTPRoute",
    versions: &[
        "gateway.networking.k8s.io/v1",
        "gateway.apoxy.dev/v1",
        "gateway.apoxy.dev/v1alpha2",
    ],
    old_versions: &["gateway.networking.k8s.io/v1beta1"],
    doc: "Which requests go where. Among all routes of a listener the most specific match wins, \
          by the Gateway API's precedence.",
    example: include_str!("examples/http_route.yaml"),
    root: &Shape {
        name: "HTTPRoute",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "The route.").required(),
            STATUS,
        ],
    },
};

static SPEC: Shape = Shape {
    name: "the HTTPRoute's spec",
    fields: &[
        field(
            "parentRefs",
            Kind::Objects {
                of: &PARENT_REF,
                least: 0,
                most: 32,
            },
            "The Gateways that it attaches to.",
        )
        .default("the only Gateway, if there is exactly one"),
        field(
            "hostnames",
            Kind::Texts {
                of: Format::Hostname,
                least: 0,
                most: 16,
            },
            "Hosts that it serves.",
        )
        .default("every host of the listener"),
        field(
            "rules",
            Kind::Objects {
                of: &RULE,
                least: 1,
                most: 16,
            },
            "What is matched, and what is done then.",
        )
        .default("one rule that matches everything and has no backend"),
        comes_later("useDefaultGateways", "name the Gateway in `parentRefs`"),
    ],
};

static PARENT_REF: Shape = Shape {
    name: "the parentRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "The Gateway's API group.")
            .default("`gateway.networking.k8s.io`"),
        field("kind", Kind::Choice(PARENT_KINDS), "The parent's kind.").default("`Gateway`"),
        field("namespace", Kind::Text(Format::Label), "The Gateway's namespace.").default("the route's"),
        field("name", Kind::Text(Format::Name), "The Gateway's name.").required(),
        field("sectionName", Kind::Text(Format::Name), "One listener only.").default("every listener"),
        field("port", Kind::Int(1, 65_535), "Listeners of this port only.").default("every port"),
    ],
};

const PARENT_KINDS: &[Choice] = &[
    word("Gateway"),
    later(
        "Service",
        "routes for a mesh come in a later release; attach the route to a Gateway",
    ),
    later("ListenerSet", "write the listeners into the Gateway"),
    later("XListenerSet", "write the listeners into the Gateway"),
];

static RULE: Shape = Shape {
    name: "the rule",
    fields: &[
        field(
            "name",
            Kind::Text(Format::Name),
            "Unique in the route; policies name it in `sectionName`.",
        ),
        field(
            "matches",
            Kind::Objects {
                of: &MATCH,
                least: 0,
                most: 64,
            },
            "Any of them may match.",
        )
        .default("every path"),
        field(
            "filters",
            Kind::Objects {
                of: &FILTER,
                least: 0,
                most: 16,
            },
            "Edits to requests and responses.",
        ),
        field(
            "backendRefs",
            Kind::Objects {
                of: &BACKEND_REF,
                least: 0,
                most: 16,
            },
            "Where to, by weight.",
        )
        .default("nowhere: 500, if no filter answers"),
        field(
            "timeouts",
            Kind::Object(&TIMEOUTS),
            "Time limits; they override those of policies.",
        ),
        field(
            "retry",
            Kind::Object(&RETRY),
            "Replaces every other rule about retries, replays with proof included.",
        )
        .default("replay when proven unapplied; one retry of idempotent requests on a reset"),
        comes_later("sessionPersistence", "it comes in a later release; remove it"),
    ],
};

static MATCH: Shape = Shape {
    name: "the match",
    fields: &[
        field("path", Kind::Object(&PATH), "The path.").default("prefix `/`"),
        field(
            "headers",
            Kind::Objects {
                of: &HEADER,
                least: 0,
                most: 16,
            },
            "Header fields; all must match.",
        ),
        field(
            "queryParams",
            Kind::Objects {
                of: &QUERY,
                least: 0,
                most: 16,
            },
            "Query parameters; all must match.",
        ),
        field("method", Kind::Choice(METHODS), "The method.").default("every method"),
    ],
};

static PATH: Shape = Shape {
    name: "the path match",
    fields: &[
        field(
            "type",
            Kind::Choice(PATH_TYPES),
            "`PathPrefix` matches whole segments.",
        )
        .default("`PathPrefix`"),
        field(
            "value",
            Kind::Text(Format::Plain),
            "The path, prefix, or regular expression for the whole path.",
        )
        .default("`/`"),
    ],
};

const PATH_TYPES: &[Choice] = &[word("Exact"), word("PathPrefix"), word("RegularExpression")];
const VALUE_TYPES: &[Choice] = &[word("Exact"), word("RegularExpression")];
const METHODS: &[Choice] = &[
    word("GET"),
    word("HEAD"),
    word("POST"),
    word("PUT"),
    word("DELETE"),
    word("CONNECT"),
    word("OPTIONS"),
    word("TRACE"),
    word("PATCH"),
];

static HEADER: Shape = Shape {
    name: "the header match",
    fields: &[
        field("type", Kind::Choice(VALUE_TYPES), "How the value matches.").default("`Exact`"),
        field(
            "name",
            Kind::Text(Format::FieldName),
            "The field's name, in any case.",
        )
        .required(),
        field(
            "value",
            Kind::Text(Format::Plain),
            "The value, or a regular expression for the whole value.",
        )
        .required(),
    ],
};

static QUERY: Shape = Shape {
    name: "the query parameter match",
    fields: &[
        field("type", Kind::Choice(VALUE_TYPES), "How the value matches.").default("`Exact`"),
        field(
            "name",
            Kind::Text(Format::FieldName),
            "The parameter's name, letter by letter.",
        )
        .required(),
        field(
            "value",
            Kind::Text(Format::Plain),
            "The value, or a regular expression for the whole value.",
        )
        .required(),
    ],
};

const BACKEND_KIND: &str = "The target's kind. Without `kind` and `port`, a Backend of that name is taken.";

static BACKEND_REF: Shape = Shape {
    name: "the backendRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "The target's API group.")
            .default("`evenkeel.dev` with `kind: Backend`"),
        field("kind", Kind::Choice(BACKEND_KINDS), BACKEND_KIND).default("`Service`, or `Backend`"),
        field("name", Kind::Text(Format::Name), "The target's name.").required(),
        field(
            "namespace",
            Kind::Text(Format::Label),
            "The target's namespace; another one needs a ReferenceGrant there.",
        )
        .default("the route's"),
        field(
            "port",
            Kind::Int(1, 65_535),
            "Only for a Service; a Backend's endpoints have their own.",
        ),
        field("weight", Kind::Int(0, 1_000_000), "Its share of the requests.").default("`1`"),
        field(
            "filters",
            Kind::Objects {
                of: &FILTER,
                least: 0,
                most: 16,
            },
            "Edits for requests that go there.",
        ),
    ],
};

/// The target of a mirror: a backendRef without weight and filters.
pub(super) static MIRROR_REF: Shape = Shape {
    name: "the mirror's backendRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "The target's API group.")
            .default("`evenkeel.dev` with `kind: Backend`"),
        field("kind", Kind::Choice(BACKEND_KINDS), BACKEND_KIND).default("`Service`, or `Backend`"),
        field("name", Kind::Text(Format::Name), "The target's name.").required(),
        field(
            "namespace",
            Kind::Text(Format::Label),
            "The target's namespace; another one needs a ReferenceGrant there.",
        )
        .default("the route's"),
        field(
            "port",
            Kind::Int(1, 65_535),
            "Only for a Service; a Backend's endpoints have their own.",
        ),
    ],
};

const BACKEND_KINDS: &[Choice] = &[
    word("Backend"),
    word("Service"),
    later(
        "ServiceImport",
        "refer to a Service, or to a Backend with the addresses of all clusters",
    ),
    later(
        "InferencePool",
        "pools of model servers come in a later release; refer to a Service or Backend",
    ),
    later("VirtualBackend", "refer to a Service or Backend"),
    later("DynamicModule", "refer to a Service or Backend"),
];

static TIMEOUTS: Shape = Shape {
    name: "`timeouts`",
    fields: &[
        field(
            "request",
            Kind::Duration { least_ms: 0 },
            "The whole exchange with all attempts, from the moment at which the request has come whole; `0s` is no limit. The time that a client takes to send its body does not count.",
        )
        .default("the policy's `requestTimeout`"),
        field(
            "backendRequest",
            Kind::Duration { least_ms: 0 },
            "One attempt, to the response head's end; it starts no earlier than the moment at which the request has come whole. `0s` is no limit.",
        )
        .default("the policy's `perTryTimeout`"),
    ],
};

static RETRY: Shape = Shape {
    name: "`retry`",
    fields: &[
        field(
            "codes",
            Kind::Ints {
                of: (400, 599),
                most: 64,
            },
            "Response statuses worth another attempt.",
        ),
        field(
            "attempts",
            Kind::Int(0, 100),
            "Most attempts after the first, of every method: a POST may so be applied more than once, unless a \
             BackendTrafficPolicy says `retry.unsafeMethods: ProvenOnly`. `0` is none at all, proven replays included.",
        )
        .default("`1`"),
        field(
            "backoff",
            Kind::Duration { least_ms: 0 },
            "Least pause before another attempt.",
        )
        .default("none"),
    ],
};
