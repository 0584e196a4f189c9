//! The one table of kinds and fields. What the resolver checks, the JSON Schema and the reference
//! page are all read off it, so they cannot drift apart.

mod backend;
mod backend_tls;
pub(crate) mod check;
mod client_policy;
mod cluster;
mod filter;
pub(crate) mod foreign;
pub(crate) mod format;
mod gateway;
mod health_check;
mod http_route;
mod load_balancer;
mod overload;
mod rate_limit;
mod reference_grant;
mod retry_budget;
mod secret;
mod telemetry;
mod traffic_policy;

pub(crate) use format::Format;

/// The Gateway API's group.
pub(crate) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Accepted in its place for Gateway and HTTPRoute.
pub(crate) const APOXY_GROUP: &str = "gateway.apoxy.dev";
/// The group of our own kinds.
pub(crate) const OWN_GROUP: &str = "evenkeel.dev";
/// Accepted in its place, the shapes being the same.
pub(crate) const ENVOY_GROUP: &str = "gateway.envoyproxy.io";

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceKind {
    Gateway,
    HttpRoute,
    ReferenceGrant,
    Backend,
    BackendTrafficPolicy,
    XBackendTrafficPolicy,
    ClientTrafficPolicy,
    Telemetry,
    GatewayClass,
    Namespace,
    Service,
    EndpointSlice,
    Secret,
    BackendTlsPolicy,
    ConfigMap,
}

/// How a kind is written and what is in its `spec`.
#[derive(Debug)]
pub(crate) struct KindShape {
    pub(crate) kind: ResourceKind,
    /// The value of `kind`.
    pub(crate) name: &'static str,
    /// The accepted values of `apiVersion`; the first is the one to write.
    pub(crate) versions: &'static [&'static str],
    /// Accepted with a warning.
    pub(crate) old_versions: &'static [&'static str],
    /// One or two sentences for the reference page.
    pub(crate) doc: &'static str,
    /// A whole configuration with a resource of this kind, for the reference page. A test reads each.
    pub(crate) example: &'static str,
    /// The whole resource.
    pub(crate) root: &'static Shape,
}

/// Every kind, in the order of the reference page.
pub(crate) static KINDS: &[&KindShape] = &[
    &gateway::GATEWAY,
    &http_route::HTTP_ROUTE,
    &backend::BACKEND,
    &traffic_policy::BACKEND_TRAFFIC_POLICY,
    &retry_budget::X_BACKEND_TRAFFIC_POLICY,
    &client_policy::CLIENT_TRAFFIC_POLICY,
    &backend_tls::BACKEND_TLS_POLICY,
    &telemetry::TELEMETRY,
    &reference_grant::REFERENCE_GRANT,
    &cluster::GATEWAY_CLASS,
    &cluster::NAMESPACE,
    &cluster::SERVICE,
    &cluster::ENDPOINT_SLICE,
    &secret::SECRET,
    &backend_tls::CONFIG_MAP,
];

/// A mapping's fields.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What an operator would call it: `listener`.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

impl Shape {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Its meaning, for the reference page and editors.
    pub(crate) doc: &'static str,
    /// What holds if it is absent, as text; empty if nothing does.
    pub(crate) default: &'static str,
    pub(crate) required: bool,
    pub(crate) support: Support,
}

/// Whether a field or value does anything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {
    Full,
    /// Refused, with what to do instead.
    Later(&'static str),
    /// Accepted with a warning, and why.
    Ignored(&'static str),
}

/// A field's type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text(Format),
    Texts {
        of: Format,
        least: usize,
        most: usize,
    },
    Bool,
    Int(i64, i64),
    /// A number, whole or not.
    Number(f64, f64),
    /// A whole number, or a mapping that says the same more finely.
    IntOr((i64, i64), &'static Shape),
    Ints {
        of: (i64, i64),
        most: usize,
    },
    /// A span of GEP-2257, at least so many milliseconds.
    Duration {
        least_ms: u64,
    },
    /// Bytes, between two bounds.
    Quantity(u64, u64),
    Choice(&'static [Choice]),
    Choices {
        of: &'static [Choice],
        most: usize,
    },
    Object(&'static Shape),
    Objects {
        of: &'static Shape,
        least: usize,
        most: usize,
    },
    /// Text by text, as labels and annotations are.
    Labels,
    /// Not looked at.
    Anything,
}

/// One of the values that a field can have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) word: &'static str,
    pub(crate) support: Support,
}

/// A value that works.
pub(crate) const fn word(word: &'static str) -> Choice {
    Choice {
        word,
        support: Support::Full,
    }
}

/// A value of the API that does not work yet, and what to do instead.
pub(crate) const fn later(word: &'static str, instead: &'static str) -> Choice {
    Choice {
        word,
        support: Support::Later(instead),
    }
}

/// An optional field.
pub(crate) const fn field(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field {
        name,
        kind,
        doc,
        default: "",
        required: false,
        support: Support::Full,
    }
}

/// A field of the API that does not work yet, and what to do instead.
pub(crate) const fn comes_later(name: &'static str, instead: &'static str) -> Field {
    Field {
        support: Support::Later(instead),
        ..field(name, Kind::Anything, "")
    }
}

impl Field {
    /// It has to be there.
    pub(crate) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// What holds if it is absent.
    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// It is accepted and does nothing, for this reason.
    pub(crate) const fn ignored(self, why: &'static str) -> Self {
        Self {
            support: Support::Ignored(why),
            ..self
        }
    }
}

/// A shape that has this one in a field, if one has. It walks the whole table.
pub(crate) fn holder(inner: &Shape) -> Option<&'static Shape> {
    fn within(outer: &'static Shape, inner: &Shape, depth: usize) -> Option<&'static Shape> {
        // Filters may hold filters.
        if depth == 0 {
            return None;
        }
        outer.fields.iter().find_map(|field| match field.kind {
            Kind::Object(shape) | Kind::Objects { of: shape, .. } | Kind::IntOr(_, shape) => {
                if std::ptr::eq(shape, inner) {
                    Some(outer)
                } else {
                    within(shape, inner, depth - 1)
                }
            }
            _ => None,
        })
    }
    KINDS.iter().find_map(|kind| within(kind.root, inner, 10))
}

/// `metadata`, the same for every kind.
pub(crate) static METADATA: Shape = Shape {
    name: "metadata",
    fields: &[
        field(
            "name",
            Kind::Text(Format::Name),
            "Unique among the resources of its kind and namespace.",
        )
        .required(),
        field(
            "namespace",
            Kind::Text(Format::Label),
            "Names are looked up in it.",
        )
        .default("`default`"),
        field(
            "labels",
            Kind::Labels,
            "Those of Namespaces are what selectors look at.",
        ),
        field("annotations", Kind::Labels, "Kept, not used."),
        field(
            "creationTimestamp",
            Kind::Anything,
            "Among routes that match equally well the older one wins; then the name decides.",
        ),
        field("generateName", Kind::Anything, "Written by Kubernetes; not used."),
        field("selfLink", Kind::Anything, "Written by Kubernetes; not used."),
        field(
            "deletionTimestamp",
            Kind::Anything,
            "Written by Kubernetes; not used.",
        ),
        field(
            "deletionGracePeriodSeconds",
            Kind::Anything,
            "Written by Kubernetes; not used.",
        ),
        field("generation", Kind::Anything, "Written by Kubernetes; not used."),
        field(
            "resourceVersion",
            Kind::Anything,
            "Written by Kubernetes; not used.",
        ),
        field("uid", Kind::Anything, "Written by Kubernetes; not used."),
        field(
            "managedFields",
            Kind::Anything,
            "Written by Kubernetes; not used.",
        ),
        field("finalizers", Kind::Anything, "Written by Kubernetes; not used."),
        field(
            "ownerReferences",
            Kind::Anything,
            "Written by Kubernetes; not used.",
        ),
    ],
};

pub(crate) const API_VERSION: Field = field(
    "apiVersion",
    Kind::Text(Format::Plain),
    "Group and version of the kind.",
)
.required();
pub(crate) const KIND: Field = field("kind", Kind::Text(Format::Plain), "The kind.").required();
pub(crate) const META: Field = field("metadata", Kind::Object(&METADATA), "Name and namespace.").required();
pub(crate) const STATUS: Field = field("status", Kind::Anything, "Written by Kubernetes; not read.");
