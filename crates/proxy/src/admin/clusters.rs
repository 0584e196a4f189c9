//! `/clusters`: Envoy's lines, `cluster::endpoint::name::value`, and after them what was learned of
//! the endpoint; before them how the cluster is doing.

use std::fmt::Write as _;
use std::time::Duration;

use policy::cluster::EndpointReport;
use policy::keepalive::Source;
use serde_json::{Map, Value, json};

use crate::telemetry::stats::view::NameView;
use crate::telemetry::stats::{ClusterView, EndpointView, shown};

/// Envoy's text form.
pub(super) fn text(page: &mut String, cluster: &ClusterView) {
    for (name, value) in limits(cluster) {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{}::default_priority::{name}::{value}", cluster.name);
    }
    for (name, value) in state(cluster) {
        let _ = writeln!(page, "{}::{name}::{}", cluster.name, plain(&value));
    }
    for name in &cluster.names {
        let (cluster, told) = (&cluster.name, resolution(name));
        let _ = writeln!(page, "{cluster}::evenkeel_name::{}::{told}", name.name);
    }
    for endpoint in &cluster.endpoints {
        let address = shown(&endpoint.report.address);
        for (name, value) in lines(endpoint) {
            let _ = writeln!(page, "{}::{address}::{name}::{}", cluster.name, plain(&value));
        }
    }
}

/// How a name stands with the resolver.
fn resolution(name: &NameView) -> String {
    let (addresses, since) = (name.addresses, name.since.as_secs());
    match &name.error {
        None => format!("resolved to {addresses} addresses"),
        Some(why) if addresses == 0 => {
            format!("cannot be resolved since {since} s: {why}; no address is known")
        }
        Some(why) => {
            format!(
                "cannot be resolved since {since} s: {why}; {addresses} addresses known before are in use"
            )
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The same as JSON: one of Envoy's `cluster_statuses`, with its `host_statuses`.
pub(super) fn json(cluster: &ClusterView) -> Value {
    let map = |lines: Vec<Line>| -> Map<String, Value> {
        let owned = lines.into_iter().map(|(name, value)| (name.to_owned(), value));
        owned.collect()
    };
    let host = |endpoint: &EndpointView| {
        let mut host = map(lines(endpoint));
        host.insert("address".to_owned(), shown(&endpoint.report.address).into());
        host
    };
    let named = |name: &NameView| {
        json!({
            "name": name.name,
            "addresses": name.addresses,
            "error": name.error,
            "since_ms": millis(name.since),
        })
    };
    let limits: Map<_, _> = limits(cluster)
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into_iter()
        .collect();
    json!({
        "name": cluster.name,
        "circuit_breakers": limits,
        "state": map(state(cluster)),
        "names": cluster.names.iter().map(named).collect::<Vec<_>>(),
        "host_statuses": cluster.endpoints.iter().map(host).collect::<Vec<_>>(),
    })
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

/// How it is doing: what Envoy has no lines for.
fn state(cluster: &ClusterView) -> Vec<Line> {
    let vitals = &cluster.vitals;
    let mut lines: Vec<Line> = vec![
        ("evenkeel_membership_healthy", vitals.membership_healthy.into()),
        ("evenkeel_membership_total", vitals.membership_total.into()),
        ("evenkeel_membership_failing", vitals.membership_failing.into()),
        ("evenkeel_panic", vitals.panics.into()),
        ("evenkeel_pool_used_percent", vitals.pool_used_percent.into()),
        ("evenkeel_queue_waiting", vitals.queue.waiting.into()),
        ("evenkeel_queue_overloaded", vitals.queue.overloaded.into()),
        ("evenkeel_queue_oldest_wait_ms", millis(vitals.queue.oldest_wait)),
        ("evenkeel_queue_shed", vitals.queue.shed.into()),
        ("evenkeel_remaining_retries", vitals.remaining_retries.into()),
    ];
    let auto = cluster.auto_timeout.as_ref();
    lines.extend(auto.map(|answer| ("evenkeel_auto_timeout", answer.to_string().into())));
    lines.extend(
        cluster
            .hedge_wait
            .map(|wait| ("evenkeel_hedge_wait_ms", millis(wait))),
    );
    lines
}

/// Envoy's lines of an endpoint, then ours.
fn lines(endpoint: &EndpointView) -> Vec<Line> {
    let mut lines = envoys(endpoint);
    lines.extend(troubles(&endpoint.report));
    lines.extend(ours(&endpoint.report));
    lines
}

fn envoys(EndpointView { report, weight }: &EndpointView) -> Vec<Line> {
    let service = &report.service;
    // Envoy says -1 where nothing is known.
    let rate = service.success_rate().unwrap_or(-1.0);
    vec![
        ("cx_active", report.open.into()),
        ("cx_connect_fail", report.connect_failures.into()),
        ("cx_total", report.opened.into()),
        ("rq_active", report.active.into()),
        ("rq_error", service.rq_error.into()),
        ("rq_success", service.rq_success.into()),
        ("rq_timeout", report.timeouts.into()),
        ("rq_total", report.uses.into()),
        ("health_flags", service.flags().into()),
        ("weight", (*weight).into()),
        ("success_rate", ((rate * 100.0).round() / 100.0).into()),
    ]
}

/// What is wrong with it, or was at last.
fn troubles(endpoint: &EndpointReport) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    if let Some(ejection) = endpoint.service.ejection {
        lines.extend([
            ("evenkeel_ejected_for", Value::from(ejection.cause.name())),
            ("evenkeel_ejections_in_a_row", ejection.times.into()),
        ]);
    }
    lines.extend(endpoint.speaks.map(|name| ("evenkeel_speaks", Value::from(name))));
    if let Some(error) = &endpoint.last_error {
        lines.extend([
            ("evenkeel_last_error", error.words.clone().into()),
            ("evenkeel_last_error_ago_ms", millis(error.ago)),
            ("evenkeel_failures_in_a_row", error.in_a_row.into()),
        ]);
    }
    lines
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
        ("evenkeel_avoided", endpoint.service.leaving.into()),
        ("evenkeel_stragglers", endpoint.stragglers.into()),
        ("evenkeel_reuse_limit_ms", millis(knowledge.limit.reuse)),
        ("evenkeel_safe_limit_ms", millis(knowledge.limit.safe)),
        ("evenkeel_limit_source", source.into()),
    ]);
    let adaptive = endpoint.adaptive_limit;
    lines.extend(adaptive.map(|limit| ("evenkeel_adaptive_limit", limit.into())));
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
