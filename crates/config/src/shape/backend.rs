//! Backend.

use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, later, word,
};

pub(crate) static BACKEND: KindShape = KindShape {
    kind: ResourceKind::Backend,
    name: "Backend",
    versions: &["evenkeel.dev/v1alpha1", "gateway.envoyproxy.io/v1alpha1"],
    old_versions: &[],
    doc: "A named set of endpoints that answer alike.",
    example: include_str!("examples/backend.yaml"),
    root: &Shape {
        name: "Backend",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "The endpoints.").required(),
            STATUS,
        ],
    },
};

static SPEC: Shape = Shape {
    name: "the Backend's spec",
    fields: &[
        field("type", Kind::Choice(TYPES), "The kind of backend.").default("`Endpoints`"),
        field(
            "endpoints",
            Kind::Objects {
                of: &ENDPOINT,
                least: 1,
                most: 1024,
            },
            "Its endpoints.",
        )
        .required(),
        field(
            "appProtocols",
            Kind::Choices {
                of: PROTOCOLS,
                most: 16,
            },
            "What it speaks besides HTTP/1.1.",
        ),
        comes_later("fallback", "failover comes in a later release; remove it"),
        comes_later("tls", "TLS to backends comes in a later release; remove it"),
    ],
};

const TYPES: &[Choice] = &[
    word("Endpoints"),
    later(
        "DynamicResolver",
        "write the `endpoints`; a forward proxy comes in a later release",
    ),
];

const H2_LATER: &str = "HTTP/2 comes later; remove it and HTTP/1.1 is spoken";
const PROTOCOLS: &[Choice] = &[
    word("gateway.envoyproxy.io/ws"),
    word("kubernetes.io/ws"),
    later("gateway.envoyproxy.io/h2c", H2_LATER),
    later("kubernetes.io/h2c", H2_LATER),
    later(
        "gateway.envoyproxy.io/wss",
        "TLS to backends comes in a later release; remove it",
    ),
    later(
        "kubernetes.io/wss",
        "TLS to backends comes in a later release; remove it",
    ),
];

static ENDPOINT: Shape = Shape {
    name: "the endpoint",
    fields: &[
        field("ip", Kind::Object(&IP), "An address."),
        field(
            "fqdn",
            Kind::Object(&FQDN),
            "A name; each of its addresses is an endpoint, looked up again as its TTL ends.",
        ),
        field("unix", Kind::Object(&UNIX), "A Unix domain socket."),
        field("zone", Kind::Text(Format::Plain), "").ignored("endpoints are chosen without regard to zones"),
        comes_later("hostname", "TLS to backends comes in a later release; remove it"),
    ],
};

static IP: Shape = Shape {
    name: "`ip`",
    fields: &[
        field(
            "address",
            Kind::Text(Format::IpAddress),
            "The address, version 4 or 6.",
        )
        .required(),
        field("port", Kind::Int(1, 65_535), "The port.").required(),
    ],
};

static FQDN: Shape = Shape {
    name: "`fqdn`",
    fields: &[
        field("hostname", Kind::Text(Format::DnsName), "The name.").required(),
        field("port", Kind::Int(1, 65_535), "The port.").required(),
    ],
};

static UNIX: Shape = Shape {
    name: "`unix`",
    fields: &[field(
        "path",
        Kind::Text(Format::FilePath),
        "The socket's path, at most 107 bytes.",
    )
    .required()],
};
