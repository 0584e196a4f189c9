//! `/clusters`: Envoy's lines, `cluster::endpoint::name::value`, and after them what was learned of
//! the endpoint.

use std::fmt::Write as _;
use std::time::Duration;

use policy::cluster::EndpointReport;
use policy::keepalive::Source;
use serde_json::{Map, Value, json};

use crate::stats::{ClusterView, shown};

/// Envoy's text form.
pub(super) fn text(clusters: &[ClusterView]) -> String {
    let mut page = String::new();
    for cluster in clusters {
        for (name, value) in limits(cluster) {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{}::default_priority::{name}::{value}", cluster.name);
        }
        for endpoint in &cluster.endpoints {
            let address = shown(&endpoint.address);
            for (name, value) in envoys(endpoint).into_iter().chain(ours(endpoint)) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let _ = writeln!(page, "{}::{address}::{name}::{value}", cluster.name);
            }
        }
    }
    page
}

/// The same as JSON: `cluster_statuses` with their `host_statuses`, as Envoy calls them.
pub(super) fn json(clusters: &[ClusterView]) -> Value {
    let host = |endpoint: &EndpointReport| {
        let mut host = Map::from_iter([("address".to_owned(), shown(&endpoint.address).into())]);
        host.extend(
            envoys(endpoint)
                .into_iter()
                .chain(ours(endpoint))
                .map(|(name, value)| (name.to_owned(), value)),
        );
        Value::Object(host)
    };
    let status = |cluster: &ClusterView| {
        let limits: Map<_, _> = limits(cluster)
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into_iter()
            .collect();
        json!({
            "name": cluster.name,
            "circuit_breakers": limits,
            "host_statuses": cluster.endpoints.iter().map(host).collect::<Vec<_>>(),
        })
    };
    json!({ "cluster_statuses": clusters.iter().map(status).collect::<Vec<_>>() })
}

fn limits(cluster: &ClusterView) -> [(&'static str, u32); 4] {
    let limits = &cluster.limits;
    [
        ("max_connections", limits.max_connections),
        ("max_pending_requests", limits.max_pending_requests),
        ("max_requests", limits.max_parallel_requests),
        ("max_retries", limits.max_parallel_retries),
    ]
}

type Line = (&'static str, Value);

fn envoys(endpoint: &EndpointReport) -> Vec<Line> {
    vec![
        ("cx_active", endpoint.open.into()),
        ("cx_connect_fail", endpoint.connect_failures.into()),
        ("rq_active", endpoint.active.into()),
        ("rq_total", endpoint.uses.into()),
        ("health_flags", "healthy".into()),
    ]
}

fn ours(endpoint: &EndpointReport) -> Vec<Line> {
    let knowledge = &endpoint.knowledge;
    let (source, wall) = match knowledge.limit.source {
        Source::Configured => ("configured", None),
        Source::Hint => ("hint", None),
        Source::Learned { wall, .. } => ("learned", Some(wall)),
    };
    let known = |name, span: Option<Duration>| span.map(|span| (name, millis(span)));
    let mut lines = vec![("evenkeel_cx_idle", endpoint.idle.into())];
    lines.extend(known("evenkeel_oldest_idle_ms", endpoint.oldest_idle));
    lines.extend([
        ("evenkeel_probe", endpoint.probe.into()),
        ("evenkeel_leaving", endpoint.leaving.into()),
        ("evenkeel_reuse_limit_ms", millis(knowledge.limit.reuse)),
        ("evenkeel_safe_limit_ms", millis(knowledge.limit.safe)),
        ("evenkeel_proof_limit_ms", millis(knowledge.limit.proof)),
        ("evenkeel_limit_source", source.into()),
    ]);
    lines.extend(known("evenkeel_hint_ms", knowledge.hint));
    lines.extend(known("evenkeel_closes_after_ms", wall));
    lines.extend([
        ("evenkeel_closes", knowledge.closes.into()),
        ("evenkeel_closes_scattered", knowledge.scatter.into()),
        ("evenkeel_closes_by_reset", knowledge.resets.into()),
    ]);
    lines.extend(
        endpoint
            .round_trip
            .map(|span| ("evenkeel_round_trip_us", Value::from(span.as_micros() as u64))),
    );
    lines.push(("evenkeel_learned", endpoint.sentence.clone().into()));
    lines
}

fn millis(span: Duration) -> Value {
    Value::from(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
