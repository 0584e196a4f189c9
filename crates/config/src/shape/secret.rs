//! Secret: a certificate and its key, as Kubernetes keeps them.

use super::{API_VERSION, Format, KIND, Kind, KindShape, META, ResourceKind, Shape, field};

pub(crate) static SECRET: KindShape = KindShape {
    kind: ResourceKind::Secret,
    name: "Secret",
    versions: &["v1"],
    old_versions: &[],
    doc: "A certificate and its private key, which listeners refer to in `tls.certificateRefs`. Only what a listener \
          refers to is looked at; `/config_dump` and messages never show what is in it.",
    example: include_str!("examples/secret.yaml"),
    root: &Shape {
        name: "Secret",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field(
                "type",
                Kind::Text(Format::Plain),
                "`kubernetes.io/tls` for a certificate and its key.",
            )
            .default("`Opaque`"),
            field(
                "data",
                Kind::Anything,
                "Texts in base64 by name. `tls.crt` is the certificate and its intermediates in PEM, `tls.key` the \
                 private key in PEM.",
            ),
            field(
                "stringData",
                Kind::Anything,
                "The same without base64; a text in here counts before one of the same name in `data`.",
            ),
            field("immutable", Kind::Bool, "Not used."),
        ],
    },
};
