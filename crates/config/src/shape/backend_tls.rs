//! BackendTLSPolicy and ConfigMap: TLS to endpoints, and whose certificates are believed.

use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, later, word,
};

pub(crate) static BACKEND_TLS_POLICY: KindShape = KindShape {
    kind: ResourceKind::BackendTlsPolicy,
    name: "BackendTLSPolicy",
    versions: &["gateway.networking.k8s.io/v1"],
    old_versions: &["gateway.networking.k8s.io/v1alpha3"],
    doc: "TLS to the endpoints of Backends and Services: which name is asked for, and which authorities are believed. A \
          certificate that does not check out is never accepted.",
    example: include_str!("examples/backend_tls.yaml"),
    root: &Shape {
        name: "BackendTLSPolicy",
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
    name: "the BackendTLSPolicy's spec",
    fields: &[
        field(
            "targetRefs",
            Kind::Objects {
                of: &TARGET,
                least: 1,
                most: 16,
            },
            "Whose endpoints speak TLS.",
        )
        .required(),
        field(
            "validation",
            Kind::Object(&VALIDATION),
            "How their certificates are checked.",
        )
        .required(),
        comes_later("options", "remove it"),
    ],
};

static TARGET: Shape = Shape {
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
        comes_later("sectionName", "remove it: the policy then applies to every port"),
    ],
};

const TARGET_KINDS: &[Choice] = &[word("Backend"), word("Service")];

static VALIDATION: Shape = Shape {
    name: "`validation`",
    fields: &[
        field(
            "hostname",
            Kind::Text(Format::PreciseHostname),
            "The name that is asked for (SNI), and that the certificate has to be for, unless `subjectAltNames` says others.",
        )
        .required(),
        field(
            "caCertificateRefs",
            Kind::Objects {
                of: &CA_REF,
                least: 0,
                most: 8,
            },
            "ConfigMaps whose `ca.crt` has the authorities' certificates in PEM.",
        ),
        field(
            "caCertificateFiles",
            Kind::Texts {
                of: Format::FilePath,
                least: 0,
                most: 8,
            },
            "Files with the authorities' certificates in PEM. They are read again when they change. A field of evenkeel's own.",
        ),
        field(
            "wellKnownCACertificates",
            Kind::Choice(&[word("System")]),
            "`System` believes the authorities that this machine believes; excludes the two fields above.",
        ),
        field(
            "subjectAltNames",
            Kind::Objects {
                of: &ALT_NAME,
                least: 0,
                most: 5,
            },
            "Names of which the certificate has to be for one, instead of `hostname`.",
        ),
    ],
};

static CA_REF: Shape = Shape {
    name: "the caCertificateRef",
    fields: &[
        field("group", Kind::Text(Format::Group), "The core group, `\"\"`.").required(),
        field("kind", Kind::Choice(&[word("ConfigMap")]), "Its kind.").required(),
        field(
            "name",
            Kind::Text(Format::Name),
            "Its name, in the policy's namespace.",
        )
        .required(),
    ],
};

static ALT_NAME: Shape = Shape {
    name: "the subjectAltName",
    fields: &[
        field("type", Kind::Choice(ALT_NAME_TYPES), "What kind of name it is.").required(),
        field("hostname", Kind::Text(Format::PreciseHostname), "The name."),
        comes_later("uri", "use `type: Hostname`"),
    ],
};

const ALT_NAME_TYPES: &[Choice] = &[
    word("Hostname"),
    later(
        "URI",
        "URIs such as SPIFFE ids come in a later release; use `type: Hostname`",
    ),
];

pub(crate) static CONFIG_MAP: KindShape = KindShape {
    kind: ResourceKind::ConfigMap,
    name: "ConfigMap",
    versions: &["v1"],
    old_versions: &[],
    doc: "Certificates of authorities, which a BackendTLSPolicy refers to. Others are not looked at.",
    example: include_str!("examples/backend_tls.yaml"),
    root: &Shape {
        name: "ConfigMap",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field(
                "data",
                Kind::Anything,
                "Texts by name. `ca.crt` has the authorities' certificates in PEM.",
            ),
            field("binaryData", Kind::Anything, "Not used."),
            field("immutable", Kind::Bool, "Not used."),
        ],
    },
};
