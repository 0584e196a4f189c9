//! evenkeel out of the box: no policy but what the scenario itself is about.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{Care, Route, Setting};
use crate::Fallible;

/// The command that runs it.
pub(super) fn command(setting: &Setting<'_>, directory: &Path, port: u16) -> Fallible<Command> {
    let config = directory.join("evenkeel.yaml");
    std::fs::write(&config, configuration(setting, port))?;
    // Absolute, as a relative program path is looked up by the child.
    let mut command = Command::new(std::path::absolute(setting.evenkeel)?);
    command.arg("run").arg("-c").arg(&config);
    command.args(["--admin", "off", "--workers", &setting.workers.to_string()]);
    Ok(command)
}

fn configuration(setting: &Setting<'_>, port: u16) -> String {
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: overload}}\n\
         spec:\n  gatewayClassName: evenkeel\n  listeners:\n  - {{name: http, protocol: HTTP, port: {port}}}\n"
    );
    for (index, route) in setting.routes.iter().enumerate() {
        text.push_str(&resources(index, route, setting.care));
    }
    text
}

fn resources(index: usize, route: &Route, care: Care) -> String {
    let retry = match care {
        Care::Retry503 => "\n    retry: {codes: [503], attempts: 2}",
        Care::Usual | Care::Eight | Care::EightAndAll | Care::Hedge => "",
    };
    let path = route.path;
    let mut text = format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: route-{index}}}\n\
         spec:\n  parentRefs: [{{name: overload}}]\n  rules:\n  \
         - matches: [{{path: {{type: Exact, value: {path}}}}}]\n    \
         backendRefs: [{{group: evenkeel.dev, kind: Backend, name: route-{index}}}]{retry}\n\
         ---\napiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {{name: route-{index}}}\n\
         spec:\n  endpoints:\n"
    );
    for endpoint in &route.endpoints {
        // Writing to a String can not fail.
        let _ = writeln!(
            text,
            "  - {{ip: {{address: {}, port: {}}}}}",
            endpoint.ip(),
            endpoint.port()
        );
    }
    let policy = match care {
        Care::Usual | Care::Retry503 => return text,
        Care::Eight => "  circuitBreaker: {maxConnections: 8}\n",
        Care::EightAndAll => {
            "  circuitBreaker: {maxConnections: 8, maxPendingRequests: 20000, maxParallelRequests: 20000}\n  \
             queue: {interval: 60s, maxWait: 60s}\n"
        }
        Care::Hedge => "  hedge: {}\n",
    };
    let _ = write!(
        text,
        "---\napiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: route-{index}}}\n\
         spec:\n  targetRefs: [{{group: evenkeel.dev, kind: Backend, name: route-{index}}}]\n{policy}"
    );
    text
}
