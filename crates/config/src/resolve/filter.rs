//! Filters of rules and backendRefs.

use std::collections::BTreeSet;

use policy::filter::{
    BadValue, Cors, Filter, HeaderEdits, HeaderValue, Mirror, PathChange, Redirect, Rewrite,
};
use policy::route::ClusterRef;

use crate::mistake::{Code, Report};
use crate::node::Spot;
use crate::shape::Format;

use super::view::{View, Word};

/// Where a filter stands: what it may be depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Rule,
    BackendRef,
}

/// Filters in the order written, each with the place where it stands. `cluster` resolves the
/// target of a mirror.
pub(super) fn filters(
    views: &[View<'_>],
    stage: Stage,
    cluster: &mut dyn FnMut(View<'_>, &mut Report) -> Option<ClusterRef>,
    report: &mut Report,
) -> Vec<(Filter, Spot)> {
    let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
    for view in views {
        let Some(kind) = view.word("type") else { continue };
        let Some(own) = settings_field(kind.text) else {
            continue;
        };
        check_settings(*view, kind, own, report);
        if !seen.insert(kind.text) && kind.text != "RequestMirror" {
            report
                .error(
                    Code::Exclusive,
                    kind.spot,
                    format!("there are two filters of type `{}`", kind.text),
                )
                .help("join them into one");
        }
        if stage == Stage::BackendRef && matches!(kind.text, "RequestRedirect" | "CORS") {
            report
                .error(
                    Code::Exclusive,
                    kind.spot,
                    format!("a filter of type `{}` belongs to the rule", kind.text),
                )
                .help("move it to the `filters` of the rule");
        }
        let Some(settings) = view.object(own) else {
            continue;
        };
        let filter = match kind.text {
            "RequestHeaderModifier" => Some(Filter::RequestHeaders(header_edits(settings, false, report))),
            "ResponseHeaderModifier" => Some(Filter::ResponseHeaders(header_edits(settings, true, report))),
            "RequestRedirect" => Some(Filter::Redirect(redirect(settings, report))),
            "URLRewrite" => Some(Filter::Rewrite(Rewrite {
                hostname: settings.text("hostname").map(str::to_owned),
                path: settings.object("path").and_then(|path| path_change(path, report)),
            })),
            "RequestMirror" => mirror(settings, cluster, report).map(Filter::Mirror),
            _ => Some(Filter::Cors(cors(settings, report))),
        };
        list.extend(filter.map(|filter| (filter, kind.spot)));
    }
    list
}

/// Whether a filter replaces the prefix that matched.
pub(super) fn replaces_prefix(filter: &Filter) -> bool {
    let path = match filter {
        Filter::Redirect(redirect) => &redirect.path,
        Filter::Rewrite(rewrite) => &rewrite.path,
        _ => &None,
    };
    matches!(path, Some(PathChange::Prefix(_)))
}

/// The field that holds the settings of a type; `None` for those that come later.
fn settings_field(kind: &str) -> Option<&'static str> {
    SETTINGS
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, field)| *field)
}

const SETTINGS: &[(&str, &str)] = &[
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("RequestMirror", "requestMirror"),
    ("CORS", "cors"),
];

/// Exactly the settings of the filter's own type must be there.
fn check_settings(view: View<'_>, kind: Word<'_>, own: &str, report: &mut Report) {
    if !view.has(own) {
        report
            .error(
                Code::Missing,
                kind.spot,
                format!("a filter of type `{}` needs `{own}`", kind.text),
            )
            .help(format!("add `{own}:` beside `type`"));
    }
    for (_, other) in SETTINGS
        .iter()
        .filter(|(_, field)| *field != own && view.has(field))
    {
        report
            .error(
                Code::Exclusive,
                view.key_spot(other),
                format!("`{other}` does not belong to type `{}`", kind.text),
            )
            .help("use one filter for each");
    }
}

/// Edits of a header modifier; names stay as they are written.
fn header_edits(view: View<'_>, in_response: bool, report: &mut Report) -> HeaderEdits {
    let mut pairs = |field: &str| {
        let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
        for header in view.objects(field) {
            let (Some(name), Some(value)) = (header.word("name"), header.text("value")) else {
                continue;
            };
            let lower = name.text.to_lowercase();
            check_framing(name, &lower, report);
            if !seen.insert(lower) {
                report
                    .error(
                        Code::DuplicateName,
                        name.spot,
                        format!("`{}` is there twice", name.text),
                    )
                    .help("write both values into one, with a comma between them");
            }
            match HeaderValue::read(value, in_response) {
                Ok(value) => list.push((name.text.to_owned(), value)),
                Err(wrong) => {
                    let BadValue { at, message, help } = wrong;
                    let message = format!("{message} (at byte {} of the value)", at + 1);
                    report
                        .error(Code::BadVariable, header.value_spot("value"), message)
                        .help(help);
                }
            }
        }
        list
    };
    let (set, add) = (pairs("set"), pairs("add"));
    let mut remove = Vec::new();
    for name in view.words("remove") {
        let lower = name.text.to_lowercase();
        check_framing(name, &lower, report);
        remove.push(name.text.to_owned());
    }
    HeaderEdits { set, add, remove }
}

/// RFC 9110, 7.6.1, and RFC 9112, 6: these fields belong to one connection or say where a message
/// ends. An edit could smuggle a request.
fn check_framing(name: Word<'_>, lower: &str, report: &mut Report) {
    let help = match lower {
        "host" => "use a filter of type `URLRewrite` with `hostname`",
        "content-length" | "transfer-encoding" | "trailer" | "te" => "it is set from how the body is sent",
        "connection" | "keep-alive" | "proxy-connection" | "upgrade" | "http2-settings" => {
            "it belongs to one connection and is never forwarded as it is; upgrades pass by themselves"
        }
        _ => return,
    };
    report
        .error(
            Code::FramingField,
            name.spot,
            format!("`{}` cannot be edited", name.text),
        )
        .help(help);
}

fn redirect(view: View<'_>, report: &mut Report) -> Redirect {
    let status = view.int("statusCode").unwrap_or(302);
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        report
            .error(
                Code::NotAllowed,
                view.value_spot("statusCode"),
                format!("{status} is not a redirect with a target"),
            )
            .help("use 301, 302, 303, 307 or 308");
    }
    Redirect {
        scheme: view.text("scheme").map(str::to_owned),
        hostname: view.text("hostname").map(str::to_owned),
        path: view.object("path").and_then(|path| path_change(path, report)),
        port: view.int("port"),
        status,
    }
}

fn path_change(view: View<'_>, report: &mut Report) -> Option<PathChange> {
    let kind = view.word("type")?;
    let (own, other) = match kind.text {
        "ReplaceFullPath" => ("replaceFullPath", "replacePrefixMatch"),
        _ => ("replacePrefixMatch", "replaceFullPath"),
    };
    if view.has(other) {
        report
            .error(
                Code::Exclusive,
                view.key_spot(other),
                format!("`{other}` does not belong to type `{}`", kind.text),
            )
            .help(format!("use `{own}`, or change `type`"));
    }
    if !view.has(own) {
        report
            .error(
                Code::Missing,
                kind.spot,
                format!("type `{}` needs `{own}`", kind.text),
            )
            .help(format!("add `{own}: /new`"));
    }
    let value = view.word(own)?;
    if own == "replaceFullPath" {
        return Some(PathChange::Full(value.text.to_owned()));
    }
    // An empty replacement takes the prefix away.
    if !value.text.is_empty()
        && let Err(complaint) = Format::UrlPath.check(value.text)
    {
        report
            .error(complaint.code, value.spot, complaint.message)
            .help(complaint.help);
        return None;
    }
    Some(PathChange::Prefix(value.text.to_owned()))
}

fn mirror(
    view: View<'_>,
    cluster: &mut dyn FnMut(View<'_>, &mut Report) -> Option<ClusterRef>,
    report: &mut Report,
) -> Option<Mirror> {
    let target = cluster(view.object("backendRef")?, report)?;
    let (mut numerator, mut denominator) = (100, 100);
    if let Some(percent) = view.int("percent") {
        numerator = percent;
    }
    if let Some(fraction) = view.object("fraction") {
        if view.has("percent") {
            report
                .error(
                    Code::Exclusive,
                    view.key_spot("fraction"),
                    "`percent` and `fraction` exclude each other",
                )
                .also(view.key_spot("percent"), "the other one")
                .help("remove one of them");
        }
        (numerator, denominator) = (
            fraction.int("numerator")?,
            fraction.int("denominator").unwrap_or(100),
        );
        if numerator > denominator {
            report
                .error(
                    Code::Inconsistent,
                    fraction.value_spot("numerator"),
                    "this is more than every request",
                )
                .help("keep `numerator` within `denominator`");
        }
    }
    Some(Mirror {
        cluster: Some(target),
        numerator,
        denominator,
    })
}

fn cors(view: View<'_>, report: &mut Report) -> Cors {
    let mut list = |field: &str| {
        let words = view.words(field);
        if let Some(star) = words.iter().find(|word| word.text == "*" && words.len() > 1) {
            report
                .error(
                    Code::Inconsistent,
                    star.spot,
                    format!("`*` is all of `{field}`, so it must be alone"),
                )
                .help("remove the others, or the `*`");
        }
        words.into_iter().map(|word| word.text.to_owned()).collect()
    };
    Cors {
        allow_origins: list("allowOrigins"),
        allow_methods: list("allowMethods"),
        allow_headers: list("allowHeaders"),
        expose_headers: list("exposeHeaders"),
        allow_credentials: view.bool("allowCredentials").unwrap_or(false),
        max_age: view.int("maxAge").unwrap_or(5),
    }
}
