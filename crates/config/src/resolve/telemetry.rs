//! Telemetry: the access log.

use crate::mistake::{Code, Report};
use crate::model::{AccessLog, LogFormat, LogSink};
use crate::shape::ResourceKind;

use super::resource::{Resource, Resources};
use super::view::View;

pub(super) fn resolve(resources: &Resources<'_>, report: &mut Report) -> AccessLog {
    let spec = only(resources, ResourceKind::Telemetry, report).and_then(|resource| resource.spec);
    spec.and_then(|spec| spec.object("accessLog"))
        .map(|view| access_log(view, report))
        .unwrap_or_default()
}

/// The first resource of a kind of which there may be one only.
pub(super) fn only<'r, 'a>(
    resources: &'r Resources<'a>,
    kind: ResourceKind,
    report: &mut Report,
) -> Option<&'r Resource<'a>> {
    let mut all = resources.of(kind);
    let first = all.next()?;
    for other in all {
        report
            .error(
                Code::PolicyConflict,
                other.spot,
                format!("this is the second {}", other.kind_name),
            )
            .also(first.spot, "the first one")
            .help("it applies to every listener, so there may be one only: join them");
    }
    Some(first)
}

fn access_log(view: View<'_>, report: &mut Report) -> AccessLog {
    let format = match view.text("format") {
        Some("Json") => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let path = view.text("path");
    let to_file = view.text("sink") == Some("file");
    if view.has("path") && !to_file {
        report
            .error(
                Code::Exclusive,
                view.key_spot("path"),
                "`path` is there, but the log does not go to a file",
            )
            .help("add `sink: file`, or remove `path`");
    }
    if to_file && !view.has("path") {
        report
            .error(
                Code::Missing,
                view.value_spot("sink"),
                "`sink: file` needs `path`",
            )
            .help("add `path: /var/log/evenkeel/access.log`");
    }
    let sink = match (view.text("sink"), path) {
        (Some("off"), _) => LogSink::Off,
        (Some("file"), Some(path)) => LogSink::File(path.into()),
        _ => LogSink::Stdout,
    };
    AccessLog { format, sink }
}
