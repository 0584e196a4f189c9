//! ClientTrafficPolicy.

use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, later, word,
};

pub(crate) static CLIENT_TRAFFIC_POLICY: KindShape = KindShape {
    kind: ResourceKind::ClientTrafficPolicy,
    name: "ClientTrafficPolicy",
    versions: &["evenkeel.dev/v1alpha1", "gateway.envoyproxy.io/v1alpha1"],
    old_versions: &[],
    doc: "How clients are treated: limits, time limits, whose `X-Forwarded-*` is believed. \
          It applies to the listeners of its Gateways, or to one of them by `sectionName`. Listeners that share \
          an address share their settings.",
    example: include_str!("examples/client_policy.yaml"),
    root: &Shape {
        name: "ClientTrafficPolicy",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "The policy.").required(),
            STATUS,
        ],
    },
};

const REMOVE: &str = "it comes in a later release; remove it";

static SPEC: Shape = Shape {
    name: "the ClientTrafficPolicy's spec",
    fields: &[
        field(
            "targetRef",
            Kind::Object(&TARGET),
            "A Gateway; excludes `targetRefs`.",
        ),
        field(
            "targetRefs",
            Kind::Objects {
                of: &TARGET,
                least: 1,
                most: 16,
            },
            "Gateways.",
        ),
        field(
            "clientIPDetection",
            Kind::Object(&DETECTION),
            "Whose word about the client is believed.",
        ),
        field("timeout", Kind::Object(&TIMEOUT), "Time limits."),
        field(
            "headers",
            Kind::Object(&HEADERS),
            "Limits of a request head; past them the answer is 431 or 414.",
        ),
        field("connection", Kind::Object(&CONNECTION), "Connections."),
        comes_later("targetSelectors", "name the Gateway in `targetRefs`"),
        comes_later("tcpKeepalive", REMOVE),
        comes_later("proxyProtocol", REMOVE),
        comes_later("enableProxyProtocol", REMOVE),
        field("tls", Kind::Object(&TLS), "TLS of HTTPS listeners."),
        field(
            "path",
            Kind::Object(&PATH),
            "How paths are read that not everybody reads alike.",
        ),
        comes_later("http1", REMOVE),
        comes_later("http2", "HTTP/2 comes later; remove it"),
        comes_later("http3", "HTTP/3 comes later; remove it"),
        comes_later("healthCheck", REMOVE),
        comes_later("grpc", "gRPC comes in a later release; remove it"),
        comes_later("scheme", REMOVE),
        comes_later("host", REMOVE),
    ],
};

static TARGET: Shape = Shape {
    name: "the targetRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "The target's API group.")
            .default("`gateway.networking.k8s.io`"),
        field("kind", Kind::Choice(TARGET_KINDS), "The target's kind.").required(),
        field(
            "name",
            Kind::Text(Format::Name),
            "The Gateway's name, in the policy's namespace.",
        )
        .required(),
        field(
            "sectionName",
            Kind::Text(Format::Name),
            "One listener of the Gateway; its policy holds whole instead of the Gateway's.",
        )
        .default("every listener"),
    ],
};

const TARGET_KINDS: &[Choice] = &[word("Gateway")];

static DETECTION: Shape = Shape {
    name: "`clientIPDetection`",
    fields: &[
        field("xForwardedFor", Kind::Object(&FORWARDED), "By `X-Forwarded-For`."),
        comes_later("customHeader", "use `xForwardedFor`"),
    ],
};

static FORWARDED: Shape = Shape {
    name: "`xForwardedFor`",
    fields: &[
        field(
            "numTrustedHops",
            Kind::Int(0, 100),
            "Reverse proxies before this one whose `X-Forwarded-*` is believed.",
        )
        .default("`0`"),
        field(
            "trustedCIDRs",
            Kind::Texts {
                of: Format::Network,
                least: 1,
                most: 64,
            },
            "Networks of the reverse proxies whose `X-Forwarded-*` is believed; excludes `numTrustedHops`. From \
             the right of `X-Forwarded-For`, the first address outside of them is the client's.",
        ),
    ],
};

static TIMEOUT: Shape = Shape {
    name: "`timeout`",
    fields: &[
        field(
            "http",
            Kind::Object(&TIMEOUT_HTTP),
            "Time limits of HTTP connections.",
        ),
        comes_later("tcp", "TCP listeners come in a later release; use `timeout.http`"),
    ],
};

static TIMEOUT_HTTP: Shape = Shape {
    name: "`timeout.http`",
    fields: &[
        field(
            "idleTimeout",
            Kind::Duration { least_ms: 1 },
            "Between requests of a connection. Keep it longer than that of a load balancer in front.",
        )
        .default("`1h`"),
        field(
            "requestHeadersReceivedTimeout",
            Kind::Duration { least_ms: 0 },
            "From a request head's first byte to its last; `0s` is no limit of its own.",
        )
        .default("`10s`"),
        field(
            "requestReceivedTimeout",
            Kind::Duration { least_ms: 0 },
            "The time for a whole request. As yet it bounds the head alone, with a warning; `0s` is no limit.",
        )
        .default("no limit"),
        field(
            "streamIdleTimeout",
            Kind::Duration { least_ms: 1 },
            "The longest time between two bytes of a request body (then evenkeel answers 408), and of a response that the client does not take.",
        )
        .default("`60s`"),
    ],
};

static HEADERS: Shape = Shape {
    name: "`headers`",
    fields: &[
        field("maxBytes", Kind::Quantity(1 << 10, 60 << 10), "Bytes of a head.").default("`60Ki`"),
        field("maxFields", Kind::Int(1, 1000), "Fields of a head.").default("`100`"),
        field(
            "maxRequestLineBytes",
            Kind::Quantity(256, 60 << 10),
            "Bytes of a request line.",
        )
        .default("`16Ki`"),
        comes_later("enableEnvoyHeaders", REMOVE),
        comes_later("disableRateLimitHeaders", REMOVE),
        comes_later("xForwardedClientCert", "TLS comes in a later release; remove it"),
        field(
            "withUnderscoresAction",
            Kind::Choice(UNDERSCORES),
            "What becomes of request fields whose name has an underscore. Aliases of fields that evenkeel writes, \
             drops or frames by (`X_Forwarded_For`) never pass.",
        )
        .default("`Allow`"),
        field(
            "sanitize",
            Kind::Bool,
            "Whether what only a proxy may say (`Forwarded`, `X-Real-IP`, `X-Forwarded-Client-Cert`, `X-Envoy-*` and \
             their like) is dropped from clients that are no trusted proxies.",
        )
        .default("`true`"),
        comes_later("preserveXRequestID", REMOVE),
        comes_later("requestID", REMOVE),
        comes_later(
            "earlyRequestHeaders",
            "use a filter of type `RequestHeaderModifier`",
        ),
        comes_later(
            "lateResponseHeaders",
            "use a filter of type `ResponseHeaderModifier`",
        ),
    ],
};

static PATH: Shape = Shape {
    name: "`path`",
    fields: &[
        field(
            "escapedSlashesAction",
            Kind::Choice(ESCAPED_SLASHES),
            "What becomes of a path with `%2F` or `%5C`.",
        )
        .default("it is kept, and answered with 400 if it would be another rule's with them unescaped"),
        field(
            "disableMergeSlashes",
            Kind::Bool,
            "Whether `//a` is matched as another path than `/a`. Paths are forwarded as they came either way.",
        )
        .default("`false`"),
    ],
};

const ESCAPED_SLASHES: &[Choice] = &[
    word("KeepUnchanged"),
    word("RejectRequest"),
    word("UnescapeAndForward"),
    word("UnescapeAndRedirect"),
];

const UNDERSCORES: &[Choice] = &[word("Allow"), word("RejectRequest"), word("DropHeader")];

static TLS: Shape = Shape {
    name: "`tls`",
    fields: &[
        field(
            "minVersion",
            Kind::Choice(TLS_VERSIONS),
            "The oldest version that is spoken. `Auto` is 1.2.",
        )
        .default("`1.2`"),
        field(
            "maxVersion",
            Kind::Choice(TLS_VERSIONS),
            "The newest version that is spoken. `Auto` is 1.3.",
        )
        .default("`1.3`"),
        field(
            "alpnProtocols",
            Kind::Choices { of: ALPN, most: 4 },
            "What is offered to be spoken inside TLS.",
        )
        .default("`http/1.1`"),
        comes_later(
            "ciphers",
            "those of TLS 1.3, and ECDHE with AES-GCM or ChaCha20-Poly1305 of TLS 1.2, are always spoken; remove it",
        ),
        comes_later(
            "ecdhCurves",
            "X25519MLKEM768, X25519, P-256 and P-384 are always spoken; remove it",
        ),
        comes_later("signatureAlgorithms", "remove it: the certificate's key decides"),
        comes_later(
            "clientValidation",
            "certificates of clients come in a later release; remove it",
        ),
        comes_later("session", "sessions are resumed by tickets; remove it"),
        comes_later("fingerprints", REMOVE),
    ],
};

const OLD_TLS: &str = "it is broken (RFC 8996) and never spoken; use `1.2`";

const TLS_VERSIONS: &[Choice] = &[
    word("Auto"),
    word("1.2"),
    word("1.3"),
    later("1.0", OLD_TLS),
    later("1.1", OLD_TLS),
];

const ALPN: &[Choice] = &[
    word("http/1.1"),
    later("h2", "HTTP/2 comes later; offer `http/1.1` alone"),
    later("http/1.0", "offer `http/1.1`, which answers HTTP/1.0 as well"),
];

static CONNECTION: Shape = Shape {
    name: "`connection`",
    fields: &[
        field(
            "connectionLimit",
            Kind::Object(&LIMIT),
            "How many client connections.",
        ),
        field("bufferLimit", Kind::Quantity(0, 1 << 40), "").ignored("bodies stream in bounded memory"),
        field("socketBufferLimit", Kind::Quantity(0, 1 << 40), "")
            .ignored("the kernel sizes socket buffers by itself"),
        comes_later("maxAcceptPerSocketEvent", REMOVE),
    ],
};

static LIMIT: Shape = Shape {
    name: "`connectionLimit`",
    fields: &[
        field(
            "value",
            Kind::Int(1, 4_294_967_295),
            "Client connections at once, at each address that the listeners have.",
        )
        .default("what the descriptor limit allows, less a reserve"),
        field("closeDelay", Kind::Duration { least_ms: 0 }, "")
            .ignored("surplus connections are closed at once"),
    ],
};
