//! evenkeel at its defaults: one Gateway, and a route and a Backend for each lane.

use std::fmt::Write;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Site;
use crate::Fallible;

/// Whether it may learn when backends close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learning {
    /// All four layers.
    On,
    /// Layers 2 to 4 carry it alone.
    Off,
}

/// The command that runs it.
pub(super) fn command(
    site: &Site<'_>,
    sockets: &[PathBuf],
    directory: &Path,
    learning: Learning,
) -> Fallible<Command> {
    let endpoint = |(index, (_, address)): (usize, &(String, SocketAddrV4))| match sockets.get(index) {
        Some(path) => format!("{{unix: {{path: {}}}}}", path.display()),
        None => format!("{{ip: {{address: {}, port: {}}}}}", address.ip(), address.port()),
    };
    let endpoints: Vec<String> = site.lanes.iter().enumerate().map(endpoint).collect();
    let lanes: Vec<(&str, &str)> = site
        .lanes
        .iter()
        .map(|(path, _)| path.as_str())
        .zip(endpoints.iter().map(String::as_str))
        .collect();
    std::fs::write(directory.join("gateway.yaml"), gateway(site.port, learning))?;
    for (part, lanes) in lanes.chunks(LANES_PER_FILE).enumerate() {
        let text = routes(lanes, part * LANES_PER_FILE, site.attempt_timeout);
        std::fs::write(directory.join(format!("lanes-{part}.yaml")), text)?;
    }
    // Absolute, as a relative program path is looked up by the child.
    let mut command = Command::new(std::path::absolute(site.evenkeel)?);
    command.arg("run").arg("-c").arg(directory);
    Ok(command)
}

fn gateway(port: u16, learning: Learning) -> String {
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: race}}\n\
         spec:\n  gatewayClassName: evenkeel\n  listeners:\n  - {{name: http, protocol: HTTP, port: {port}}}\n"
    );
    // The evidence behind each request, for whoever asks why one failed.
    text.push_str(
        "---\napiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {name: race}\n\
         spec: {accessLog: {format: Json}}\n",
    );
    if learning == Learning::Off {
        text.push_str(
            "---\napiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: race}\n\
             spec:\n  targetRefs:\n  - {group: gateway.networking.k8s.io, kind: Gateway, name: race}\n  \
             keepAlive: {learn: false}\n",
        );
    }
    text
}

fn routes(lanes: &[(&str, &str)], first: usize, attempt_timeout: Option<Duration>) -> String {
    let mut text = String::new();
    let timeouts = attempt_timeout.map_or_else(String::new, |timeout| {
        format!("\n    timeouts: {{backendRequest: {}ms}}", timeout.as_millis())
    });
    for (index, (path, endpoint)) in (first..).zip(lanes) {
        // Writing to a String can not fail.
        let _ = write!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: lane-{index}}}\n\
             spec:\n  parentRefs: [{{name: race}}]\n  rules:\n  \
             - matches: [{{path: {{type: Exact, value: {path}}}}}]\n    \
             backendRefs: [{{group: evenkeel.dev, kind: Backend, name: lane-{index}}}]{timeouts}\n\
             ---\napiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {{name: lane-{index}}}\n\
             spec:\n  endpoints: [{endpoint}]\n"
        );
    }
    text
}

/// Each lane is two documents, of which a file may have 1,024.
const LANES_PER_FILE: usize = 500;
