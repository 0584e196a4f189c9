//! evenkeel, as a user gets it: learning, evidence, limits, counters and the admin are on.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{AccessLog, Order, free_address};
use crate::Fallible;

/// The command that runs it.
pub(super) fn command(order: &Order<'_>, program: &Path) -> Fallible<Command> {
    let set_up = order.set_up;
    let mut command = Command::new(program);
    command.arg("run");
    if set_up.retry || set_up.routes > 0 {
        write_configuration(order)?;
        command.arg("-c").arg(order.directory);
    } else {
        command
            .args(["--to", &order.to.to_string()])
            .args(["--listen", &order.listen.to_string()]);
    }
    command
        .args(["--workers", &set_up.workers.to_string()])
        .args(["--admin", &free_address()?.to_string()])
        .args(["--access-log", access_log(set_up.log)]);
    Ok(command)
}

fn access_log(log: AccessLog) -> &'static str {
    match log {
        AccessLog::Off => "off",
        AccessLog::Json => "json",
        AccessLog::Text => "text",
    }
}

fn write_configuration(order: &Order<'_>) -> Fallible<()> {
    let port = order.listen.port();
    let gateway = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: bench}}\n\
         spec:\n  gatewayClassName: evenkeel\n  addresses: [{{type: IPAddress, value: 127.0.0.1}}]\n  \
         listeners:\n  - {{name: http, protocol: HTTP, port: {port}}}\n"
    );
    std::fs::write(order.directory.join("gateway.yaml"), gateway)?;
    let indices: Vec<usize> = (0..order.set_up.routes.max(1)).collect();
    for (part, indices) in indices.chunks(ROUTES_PER_FILE).enumerate() {
        let mut text = String::new();
        indices
            .iter()
            .for_each(|index| write_route(&mut text, order, *index));
        std::fs::write(order.directory.join(format!("routes-{part}.yaml")), text)?;
    }
    Ok(())
}

fn write_route(text: &mut String, order: &Order<'_>, index: usize) {
    let (path, endpoint) = if order.set_up.routes > 0 {
        (
            super::super::plan::route_path(index),
            order.endpoint.address_of_cluster(index),
        )
    } else {
        ("/".to_owned(), order.to)
    };
    let retry = if order.set_up.retry {
        "\n    retry: {codes: [503], attempts: 2}"
    } else {
        ""
    };
    // Writing to a String can not fail.
    let _ = write!(
        text,
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: route-{index}}}\n\
         spec:\n  parentRefs: [{{name: bench}}]\n  rules:\n  \
         - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]\n    \
         backendRefs: [{{group: evenkeel.dev, kind: Backend, name: cluster-{index}}}]{retry}\n\
         ---\napiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {{name: cluster-{index}}}\n\
         spec:\n  endpoints: [{{ip: {{address: {}, port: {}}}}}]\n",
        endpoint.ip(),
        endpoint.port()
    );
}

/// Each route is two documents, of which a file may have 1,024.
const ROUTES_PER_FILE: usize = 500;
