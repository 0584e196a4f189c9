//! Gateway.

use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, later, word,
};

const TLS_LATER: &str = "TLS that is passed on comes in a later release; use `protocol: HTTPS`";
const GATEWAY_TLS_LATER: &str =
    "certificates of clients and of evenkeel towards backends come in a later release; remove it";
const STREAM_LATER: &str = "TCP and UDP listeners come in a later release; use `protocol: HTTP` or `HTTPS`";

pub(crate) static GATEWAY: KindShape = KindShape {
    kind: ResourceKind::Gateway,
    name: "Gateway",
    versions: &[
        "gateway.networking.k8s.io/v1",
        "gateway.apoxy.dev/v1",
        "gateway.apoxy.dev/v1alpha2",
    ],
    old_versions: &["gateway.networking.k8s.io/v1beta1"],
    doc: "Where to listen. Listeners of several Gateways may share a port if their hostnames differ; \
          the most specific hostname takes a request.",
    example: include_str!("examples/gateway.yaml"),
    root: &Shape {
        name: "Gateway",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "The Gateway.").required(),
            STATUS,
        ],
    },
};

static SPEC: Shape = Shape {
    name: "the Gateway's spec",
    fields: &[
        field(
            "gatewayClassName",
            Kind::Text(Format::Name),
            "The controller that serves it; not needed in files.",
        ),
        field(
            "listeners",
            Kind::Objects {
                of: &LISTENER,
                least: 1,
                most: 64,
            },
            "Ports and hostnames to accept requests for.",
        )
        .required(),
        field(
            "addresses",
            Kind::Objects {
                of: &ADDRESS,
                least: 0,
                most: 16,
            },
            "Addresses to bind. `::` takes IPv6.",
        )
        .default("`0.0.0.0`"),
        field("infrastructure", Kind::Anything, "")
            .ignored("it shapes what a controller deploys; here the process is already running"),
        comes_later("allowedListeners", "write the listeners into the Gateway"),
        comes_later(
            "backendTLS",
            "TLS to backends comes in a later release; remove it",
        ),
        comes_later("tls", GATEWAY_TLS_LATER),
        comes_later("defaultScope", "name the Gateway in the route's `parentRefs`"),
    ],
};

static ADDRESS: Shape = Shape {
    name: "the address",
    fields: &[
        field("type", Kind::Choice(ADDRESS_TYPES), "The kind of address.").default("`IPAddress`"),
        field("value", Kind::Text(Format::IpAddress), "The address to bind.").required(),
    ],
};

const ADDRESS_TYPES: &[Choice] = &[
    word("IPAddress"),
    later("Hostname", "use `type: IPAddress` and an address of this machine"),
];

static LISTENER: Shape = Shape {
    name: "the listener",
    fields: &[
        field(
            "name",
            Kind::Text(Format::Name),
            "Unique in the Gateway; routes name it in `sectionName`.",
        )
        .required(),
        field("port", Kind::Int(1, 65_535), "The port to listen on.").required(),
        field("protocol", Kind::Choice(PROTOCOLS), "What is spoken there.").required(),
        field(
            "hostname",
            Kind::Text(Format::Hostname),
            "Only requests for this host; `*.` takes every subdomain.",
        )
        .default("every host"),
        field(
            "allowedRoutes",
            Kind::Object(&ALLOWED_ROUTES),
            "Which routes may attach.",
        ),
        field(
            "tls",
            Kind::Object(&TLS),
            "Of `protocol: HTTPS`: the certificates. Which of them is presented goes by the name that the client asks \
             for (SNI).",
        ),
    ],
};

static TLS: Shape = Shape {
    name: "`tls`",
    fields: &[
        field(
            "mode",
            Kind::Choice(TLS_MODES),
            "What becomes of TLS: it ends here.",
        )
        .default("`Terminate`"),
        field(
            "certificateRefs",
            Kind::Objects {
                of: &CERTIFICATE_REF,
                least: 0,
                most: 64,
            },
            "Secrets of type `kubernetes.io/tls`. The first certificate is presented where none is for the name that the \
             client asks for.",
        ),
        field(
            "certificateFiles",
            Kind::Objects {
                of: &CERTIFICATE_FILES,
                least: 0,
                most: 64,
            },
            "Certificates in files, behind those of `certificateRefs`. They are read again when they change. A field of \
             evenkeel's own.",
        ),
        comes_later(
            "options",
            "versions of TLS are set by `tls` of a ClientTrafficPolicy; remove it",
        ),
    ],
};

const TLS_MODES: &[Choice] = &[word("Terminate"), later("Passthrough", TLS_LATER)];

static CERTIFICATE_REF: Shape = Shape {
    name: "the certificateRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "Its API group.").default("the core group, `\"\"`"),
        field("kind", Kind::Choice(&[word("Secret")]), "Its kind.").default("`Secret`"),
        field("name", Kind::Text(Format::Name), "The Secret's name.").required(),
        field(
            "namespace",
            Kind::Text(Format::Label),
            "The Secret's namespace; another one needs a ReferenceGrant there.",
        )
        .default("the Gateway's"),
    ],
};

static CERTIFICATE_FILES: Shape = Shape {
    name: "the certificate",
    fields: &[
        field(
            "certFile",
            Kind::Text(Format::FilePath),
            "The certificate, then its intermediates, in PEM: certbot's `fullchain.pem`.",
        )
        .required(),
        field(
            "keyFile",
            Kind::Text(Format::FilePath),
            "Its private key in PEM: certbot's `privkey.pem`.",
        )
        .required(),
    ],
};

const PROTOCOLS: &[Choice] = &[
    word("HTTP"),
    word("HTTPS"),
    later("TLS", TLS_LATER),
    later("TCP", STREAM_LATER),
    later("UDP", STREAM_LATER),
];

static ALLOWED_ROUTES: Shape = Shape {
    name: "`allowedRoutes`",
    fields: &[
        field("namespaces", Kind::Object(&NAMESPACES), "From which namespaces."),
        field(
            "kinds",
            Kind::Objects {
                of: &ROUTE_KIND,
                least: 0,
                most: 8,
            },
            "Of which kinds.",
        )
        .default("HTTPRoute"),
    ],
};

static NAMESPACES: Shape = Shape {
    name: "`namespaces`",
    fields: &[
        field(
            "from",
            Kind::Choice(FROM),
            "`Same` is the Gateway's own namespace.",
        )
        .default("`Same`"),
        field(
            "selector",
            Kind::Object(&SELECTOR),
            "Of `from: Selector`: the labels that the namespaces have. Their Namespace resources are in the same \
             files; every namespace has the label `kubernetes.io/metadata.name`.",
        ),
    ],
};

static SELECTOR: Shape = Shape {
    name: "the selector",
    fields: &[
        field("matchLabels", Kind::Labels, "Labels, all of which must be there."),
        field(
            "matchExpressions",
            Kind::Objects {
                of: &EXPRESSION,
                least: 0,
                most: 64,
            },
            "Expressions, all of which must hold.",
        ),
    ],
};

static EXPRESSION: Shape = Shape {
    name: "the expression",
    fields: &[
        field("key", Kind::Text(Format::Plain), "The label.").required(),
        field("operator", Kind::Choice(OPERATORS), "How its value is looked at.").required(),
        field(
            "values",
            Kind::Texts {
                of: Format::Plain,
                least: 0,
                most: 64,
            },
            "The values, of `In` and `NotIn`.",
        ),
    ],
};

const OPERATORS: &[Choice] = &[word("In"), word("NotIn"), word("Exists"), word("DoesNotExist")];

const FROM: &[Choice] = &[word("Same"), word("All"), word("None"), word("Selector")];

static ROUTE_KIND: Shape = Shape {
    name: "the route kind",
    fields: &[
        field("group", Kind::Text(Format::Group), "Its API group.").default("`gateway.networking.k8s.io`"),
        field("kind", Kind::Choice(ROUTE_KINDS), "Its kind.").required(),
    ],
};

const ROUTE_KINDS: &[Choice] = &[
    word("HTTPRoute"),
    later("GRPCRoute", "gRPC comes in a later release; use `HTTPRoute`"),
    later("TLSRoute", TLS_LATER),
    later("TCPRoute", STREAM_LATER),
    later("UDPRoute", STREAM_LATER),
];
