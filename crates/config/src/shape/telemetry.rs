//! Telemetry.

use super::{
    API_VERSION, Choice, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, comes_later,
    field, word,
};

pub(crate) static TELEMETRY: KindShape = KindShape {
    kind: ResourceKind::Telemetry,
    name: "Telemetry",
    versions: &["evenkeel.dev/v1alpha1"],
    old_versions: &[],
    doc: "What is told about requests. At most one; it applies to every listener.",
    example: include_str!("examples/telemetry.yaml"),
    root: &Shape {
        name: "Telemetry",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SPEC), "What is told.").required(),
            STATUS,
        ],
    },
};

static SPEC: Shape = Shape {
    name: "the Telemetry's spec",
    fields: &[
        field(
            "accessLog",
            Kind::Object(&ACCESS_LOG),
            "One line for each request.",
        ),
        comes_later("tracing", "traces come in a later release; remove it"),
        comes_later(
            "metrics",
            "metrics are served by the admin at `/stats` and `/stats/prometheus`; remove it",
        ),
    ],
};

static ACCESS_LOG: Shape = Shape {
    name: "`accessLog`",
    fields: &[
        field(
            "format",
            Kind::Choice(FORMATS),
            "`Text` is Envoy's default line, `Json` one object a line.",
        )
        .default("`Text`"),
        field("sink", Kind::Choice(SINKS), "Where to.").default("`stdout`"),
        field(
            "path",
            Kind::Text(Format::FilePath),
            "The file of `sink: file`; appended to, opened anew on SIGUSR1.",
        ),
    ],
};

const FORMATS: &[Choice] = &[word("Text"), word("Json")];
const SINKS: &[Choice] = &[word("stdout"), word("file"), word("off")];
