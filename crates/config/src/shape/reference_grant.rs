//! ReferenceGrant.

use super::{API_VERSION, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, field};

pub(crate) static REFERENCE_GRANT: KindShape = KindShape {
    kind: ResourceKind::ReferenceGrant,
    name: "ReferenceGrant",
    versions: &[
        "gateway.networking.k8s.io/v1",
        "gateway.networking.k8s.io/v1beta1",
    ],
    old_versions: &[],
    doc: "Lets resources of other namespaces refer to those of its own.",
    example: include_str!("examples/reference_grant.yaml"),
    root: &Shape {
        name: "ReferenceGrant",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "The grant.").required(),
            STATUS,
        ],
    },
};

static SPEC: Shape = Shape {
    name: "the ReferenceGrant's spec",
    fields: &[
        field(
            "from",
            Kind::Objects {
                of: &FROM,
                least: 1,
                most: 16,
            },
            "Who may refer.",
        )
        .required(),
        field(
            "to",
            Kind::Objects {
                of: &TO,
                least: 1,
                most: 16,
            },
            "To what.",
        )
        .required(),
    ],
};

static FROM: Shape = Shape {
    name: "`from`",
    fields: &[
        field(
            "group",
            Kind::Text(Format::Group),
            "The API group, `gateway.networking.k8s.io` for HTTPRoute and Gateway.",
        )
        .required(),
        field(
            "kind",
            Kind::Text(Format::Plain),
            "The kind, `HTTPRoute` or `Gateway`.",
        )
        .required(),
        field(
            "namespace",
            Kind::Text(Format::Label),
            "The namespace of the one that refers.",
        )
        .required(),
    ],
};

static TO: Shape = Shape {
    name: "`to`",
    fields: &[
        field(
            "group",
            Kind::Text(Format::Group),
            "The API group, `evenkeel.dev` for Backend, the core group `\"\"` for Service and Secret.",
        )
        .required(),
        field(
            "kind",
            Kind::Text(Format::Plain),
            "The kind: `Backend` or `Service` from an HTTPRoute, `Secret` from a Gateway.",
        )
        .required(),
        field("name", Kind::Text(Format::Name), "One of them only.").default("every one of the namespace"),
    ],
};
