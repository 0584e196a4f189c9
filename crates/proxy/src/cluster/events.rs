//! The log lines of what happens to endpoints: ejections, returns, failures that eject nobody.

use std::time::Duration;

use policy::cluster::{Event, EventKind};

use crate::telemetry::stats::shown;

/// Writes one line for each event.
#[cold]
pub(super) fn log(cluster: &str, events: &[Event]) {
    for event in events {
        let line = line(cluster, event);
        match event.kind {
            EventKind::Ejected { .. }
            | EventKind::Kept { .. }
            | EventKind::CheckLate
            | EventKind::OtherProtocol { .. }
            | EventKind::Mended { .. } => {
                tracing::warn!("{line}");
            }
            EventKind::Returned | EventKind::TakenBack | EventKind::Recovered { .. } => {
                tracing::info!("{line}");
            }
        }
    }
}

fn line(cluster: &str, event: &Event) -> String {
    let Event {
        address,
        kind,
        last_error,
        healthy,
        total,
    } = event;
    let name = format!("endpoint {} of cluster {cluster}", shown(address));
    let error = last_error.as_deref().unwrap_or("unknown");
    let serving = format!("{healthy} of {total} endpoints are in service");
    match kind {
        EventKind::Ejected { cause, term, times } => {
            let (cause, term) = (cause.name(), seconds(*term));
            format!(
                "{name} is ejected for {term}: {cause} (ejection {times} in a row); its last error: {error}; {serving}"
            )
        }
        EventKind::Kept { cause, only } => {
            let cause = cause.name();
            let why = if *only {
                "it is the only endpoint of its cluster"
            } else {
                "as many endpoints are ejected as maxEjectionPercent allows"
            };
            format!(
                "{name} fails ({cause}) and is not ejected, because {why}; its last error: {error}; {serving}"
            )
        }
        EventKind::Returned => {
            format!(
                "{name} is in service again: its ejection has ended, and one more failure ejects it again; {serving}"
            )
        }
        EventKind::TakenBack => {
            format!("{name} is in service again: it answered before its ejection ended; {serving}")
        }
        EventKind::Recovered { failures } => {
            format!("{name} answers again after {failures} failures in a row; {serving}")
        }
        EventKind::OtherProtocol { name } => {
            format!(
                "endpoint {} of cluster {cluster} speaks {name}, not HTTP/1 in plain text, by its own first bytes; check the port in the \
                 Backend",
                shown(address)
            )
        }
        EventKind::Mended { what } => {
            format!(
                "{name} sends malformed responses: {what}. They are mended, and their connections not used again; \
                 malformedResponses: Refuse in a BackendTrafficPolicy answers them with 502"
            )
        }
        EventKind::CheckLate => {
            format!("{name} is out of service: its health check gave no result in time; {serving}")
        }
    }
}

fn seconds(term: Duration) -> String {
    format!("{} s", (term.as_secs_f64() * 1000.0).round() / 1000.0)
}
