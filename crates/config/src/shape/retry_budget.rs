//! Retry budgets: Envoy's `retryBudget`, the Gateway API's `retryConstraint`, and the kind of the
//! latter, XBackendTrafficPolicy.

use super::overload::MOST;
use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, later, word,
};

pub(crate) static X_BACKEND_TRAFFIC_POLICY: KindShape = KindShape {
    kind: ResourceKind::XBackendTrafficPolicy,
    name: "XBackendTrafficPolicy",
    versions: &["gateway.networking.x-k8s.io/v1alpha1"],
    old_versions: &[],
    doc: "The retry budget of Backends, in the Gateway API's own words (GEP-3388). It holds for every request to \
          them, unless the BackendTrafficPolicy that holds for a request sets a retry budget itself.",
    example: include_str!("examples/retry_budget.yaml"),
    root: &Shape {
        name: "XBackendTrafficPolicy",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "The policy.").required(),
            STATUS,
        ],
    },
};

static SPEC: Shape = Shape {
    name: "the XBackendTrafficPolicy's spec",
    fields: &[
        field(
            "targetRef",
            Kind::Object(&TARGET),
            "A Backend; excludes `targetRefs`.",
        ),
        field(
            "targetRefs",
            Kind::Objects {
                of: &TARGET,
                least: 1,
                most: 16,
            },
            "Backends.",
        ),
        field(
            "retryConstraint",
            Kind::Object(&RETRY_CONSTRAINT),
            "How much of the traffic may be retries and hedges, over time.",
        )
        .default("20 % of the requests of one second, at least 10, and a burst of 50"),
        comes_later(
            "sessionPersistence",
            "use `loadBalancer` of a BackendTrafficPolicy: `type: ConsistentHash`, by a cookie",
        ),
    ],
};

static TARGET: Shape = Shape {
    name: "the targetRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "The target's API group.").default("`evenkeel.dev`"),
        field("kind", Kind::Choice(TARGET_KINDS), "The target's kind.").required(),
        field(
            "name",
            Kind::Text(Format::Name),
            "The Backend's name, in the policy's namespace.",
        )
        .required(),
        comes_later(
            "sectionName",
            "the policy applies to every endpoint of the Backend; remove it",
        ),
    ],
};

const TARGET_KINDS: &[Choice] = &[
    word("Backend"),
    later("Service", "in files a policy targets a Backend"),
];

pub(super) static RETRY_CONSTRAINT: Shape = Shape {
    name: "`retryConstraint`",
    fields: &[
        field(
            "budget",
            Kind::Object(&BUDGET),
            "The share of the requests of a span of time.",
        ),
        field(
            "minRetryRate",
            Kind::Object(&RATE),
            "So many are allowed whatever the share is.",
        ),
    ],
};

static BUDGET: Shape = Shape {
    name: "`budget`",
    fields: &[
        field(
            "percent",
            Kind::Int(0, 100),
            "Retries within the span, in percent of its requests.",
        )
        .default("`20`"),
        field("interval", Kind::Duration { least_ms: 100 }, "The span.").default("`10s`"),
    ],
};

static RATE: Shape = Shape {
    name: "`minRetryRate`",
    fields: &[
        field(
            "count",
            Kind::Int(0, 1_000_000),
            "Retries; `0` leaves it to the share alone.",
        )
        .default("`10`"),
        field(
            "interval",
            Kind::Duration { least_ms: 100 },
            "In this time. It is brought to the span of `budget`, in proportion.",
        )
        .default("`1s`"),
    ],
};

pub(super) static RETRY_BUDGET: Shape = Shape {
    name: "`retryBudget`",
    fields: &[
        field(
            "percent",
            Kind::IntOr((0, 100), &FRACTION),
            "The share of the requests in flight.",
        )
        .default("`20`"),
        field(
            "minRetryConcurrency",
            Kind::Int(0, MOST),
            "So many at once are allowed whatever the share is.",
        )
        .default("`3`"),
    ],
};

static FRACTION: Shape = Shape {
    name: "`percent`",
    fields: &[
        field("numerator", Kind::Int(0, 1_000_000_000), "The part.").required(),
        field("denominator", Kind::Int(1, 1_000_000_000), "The whole.").default("`100`"),
    ],
};
