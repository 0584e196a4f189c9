//! The filters of HTTPRoute.

use super::http_route::MIRROR_REF;
use super::{Choice, Format, Kind, Shape, comes_later, field, later, word};

pub(super) static FILTER: Shape = Shape {
    name: "the filter",
    fields: &[
        field(
            "type",
            Kind::Choice(TYPES),
            "Which filter; the field of its name holds its settings.",
        )
        .required(),
        field(
            "requestHeaderModifier",
            Kind::Object(&HEADERS),
            "Edits the request's fields.",
        ),
        field(
            "responseHeaderModifier",
            Kind::Object(&HEADERS),
            "Edits the response's fields.",
        ),
        field(
            "requestRedirect",
            Kind::Object(&REDIRECT),
            "Answers with a redirect; excludes `backendRefs`.",
        ),
        field(
            "urlRewrite",
            Kind::Object(&REWRITE),
            "Changes host or path before forwarding.",
        ),
        field(
            "requestMirror",
            Kind::Object(&MIRROR),
            "Sends a copy elsewhere and throws its answer away.",
        ),
        field(
            "cors",
            Kind::Object(&CORS),
            "Cross-origin resource sharing; answers preflight requests.",
        ),
        comes_later(
            "extensionRef",
            "filters of other groups come in a later release; remove it",
        ),
        comes_later(
            "externalAuth",
            "external authorization comes in a later release; remove it",
        ),
    ],
};

const TYPES: &[Choice] = &[
    word("RequestHeaderModifier"),
    word("ResponseHeaderModifier"),
    word("RequestRedirect"),
    word("URLRewrite"),
    word("RequestMirror"),
    word("CORS"),
    later(
        "ExtensionRef",
        "filters of other groups come in a later release; remove the filter",
    ),
    later(
        "ExternalAuth",
        "external authorization comes in a later release; remove the filter",
    ),
];

static HEADERS: Shape = Shape {
    name: "the header modifier",
    fields: &[
        field(
            "set",
            Kind::Objects {
                of: &HEADER_VALUE,
                least: 0,
                most: 16,
            },
            "Replaces every field of the name.",
        ),
        field(
            "add",
            Kind::Objects {
                of: &HEADER_VALUE,
                least: 0,
                most: 16,
            },
            "Appends a field.",
        ),
        field(
            "remove",
            Kind::Texts {
                of: Format::FieldName,
                least: 0,
                most: 16,
            },
            "Removes every field of the name.",
        ),
    ],
};

static HEADER_VALUE: Shape = Shape {
    name: "the header",
    fields: &[
        field(
            "name",
            Kind::Text(Format::FieldName),
            "The field's name, in any case.",
        )
        .required(),
        field("value", Kind::Text(Format::FieldValue), "Its value.").required(),
    ],
};

static REDIRECT: Shape = Shape {
    name: "the redirect",
    fields: &[
        field(
            "scheme",
            Kind::Choice(&[word("http"), word("https")]),
            "The new scheme.",
        )
        .default("the request's"),
        field("hostname", Kind::Text(Format::PreciseHostname), "The new host.").default("the request's"),
        field("path", Kind::Object(&PATH_CHANGE), "The new path.").default("the request's"),
        field("port", Kind::Int(1, 65_535), "The new port.")
            .default("the scheme's own if `scheme` is set, else the listener's"),
        field("statusCode", Kind::Int(301, 308), "301, 302, 303, 307 or 308.").default("`302`"),
    ],
};

static REWRITE: Shape = Shape {
    name: "the rewrite",
    fields: &[
        field(
            "hostname",
            Kind::Text(Format::PreciseHostname),
            "Replaces `Host`.",
        )
        .default("the request's"),
        field("path", Kind::Object(&PATH_CHANGE), "The new path.").default("the request's"),
    ],
};

static PATH_CHANGE: Shape = Shape {
    name: "the path change",
    fields: &[
        field(
            "type",
            Kind::Choice(&[word("ReplaceFullPath"), word("ReplacePrefixMatch")]),
            "What is replaced.",
        )
        .required(),
        field(
            "replaceFullPath",
            Kind::Text(Format::UrlPath),
            "The whole new path.",
        ),
        field(
            "replacePrefixMatch",
            Kind::Text(Format::Plain),
            "Replaces the prefix that matched; needs matches of type `PathPrefix`.",
        ),
    ],
};

static MIRROR: Shape = Shape {
    name: "the mirror",
    fields: &[
        field("backendRef", Kind::Object(&MIRROR_REF), "Where the copies go.").required(),
        field("percent", Kind::Int(0, 100), "Share of requests that are copied.").default("`100`"),
        field(
            "fraction",
            Kind::Object(&FRACTION),
            "The same as a fraction; excludes `percent`.",
        ),
    ],
};

static FRACTION: Shape = Shape {
    name: "the fraction",
    fields: &[
        field("numerator", Kind::Int(0, 2_147_483_647), "So many …").required(),
        field("denominator", Kind::Int(1, 2_147_483_647), "… of so many.").default("`100`"),
    ],
};

static CORS: Shape = Shape {
    name: "`cors`",
    fields: &[
        field(
            "allowOrigins",
            Kind::Texts {
                of: Format::Origin,
                least: 0,
                most: 64,
            },
            "`*`, exact origins, or `https://*.example.com`.",
        ),
        field(
            "allowCredentials",
            Kind::Bool,
            "Whether cookies and the like may be sent.",
        )
        .default("`false`"),
        field(
            "allowMethods",
            Kind::Texts {
                of: Format::FieldNameOrAny,
                least: 0,
                most: 16,
            },
            "Methods; `*` alone is all.",
        ),
        field(
            "allowHeaders",
            Kind::Texts {
                of: Format::FieldNameOrAny,
                least: 0,
                most: 64,
            },
            "Request fields; `*` alone is all.",
        ),
        field(
            "exposeHeaders",
            Kind::Texts {
                of: Format::FieldNameOrAny,
                least: 0,
                most: 64,
            },
            "Response fields that scripts may read; `*` alone is all.",
        ),
        field(
            "maxAge",
            Kind::Int(1, 2_147_483_647),
            "Seconds for which a preflight answer may be kept.",
        )
        .default("`5`"),
    ],
};
