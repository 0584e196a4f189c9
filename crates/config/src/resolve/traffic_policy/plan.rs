//! A BackendTrafficPolicy's spec -> the plan of a cluster.

use std::num::NonZeroU32;

use policy::plan::{
    ClusterPlan, KeepAlivePlan, Learning, Limits, MalformedResponses, Percent, SaturationGuard, TcpKeepalive,
    Timeouts,
};

use crate::mistake::{Code, Report};
use crate::node::Spot;
use crate::resolve::retry;
use crate::resolve::view::View;

use super::{balance, budget, health, overload};

/// The plan without any policy. TCP keep-alive is on: it finds silent flows that nothing else does.
pub(super) fn without_policy() -> ClusterPlan {
    ClusterPlan {
        tcp_keepalive: Some(TcpKeepalive::default()),
        ..ClusterPlan::default()
    }
}

/// The plan of a policy, and where it sets a retry budget, if it does.
pub(super) fn plan(spec: View<'_>, words: retry::Words, report: &mut Report) -> (ClusterPlan, Option<Spot>) {
    let http = spec.object("timeout").and_then(|view| view.object("http"));
    let retry = spec.object("retry");
    let balancer = spec.object("loadBalancer");
    let health = spec.object("healthCheck");
    let panic = health.and_then(|view| view.int("panicThreshold"));
    let (retry_budget, budget_spot) = budget::of_policy(spec, report).unzip();
    let plan = ClusterPlan {
        limits: limits(spec, http),
        keep_alive: keep_alive(spec.object("keepAlive"), http, report),
        timeouts: timeouts(spec, http, retry, report),
        retry: retry
            .map(|view| retry::of_policy(view, words, report))
            .unwrap_or_default(),
        tcp_keepalive: tcp_keepalive(spec),
        balance: balance::balance(balancer, report),
        slow_start: balance::slow_start(balancer, report),
        panic_threshold: panic.map(Percent).unwrap_or_default(),
        queue: overload::queue(spec.object("queue")),
        retry_budget: retry_budget.unwrap_or_default(),
        hedge: spec.object("hedge").map(overload::hedge),
        outlier: health::outlier(health.and_then(|view| view.object("passive")), report),
        health: health
            .and_then(|view| view.object("active"))
            .and_then(|view| health::active(view, report)),
        adaptive: spec
            .object("adaptiveConcurrency")
            .map(|view| overload::adaptive(view, report)),
        saturation_guard: match spec.bool("saturationGuard") {
            Some(true) => SaturationGuard::On,
            Some(false) | None => SaturationGuard::Off,
        },
        malformed_responses: match spec.text("malformedResponses") {
            Some("Refuse") => MalformedResponses::Refuse,
            _ => MalformedResponses::Mend,
        },
        request_body_max: spec.quantity("maxRequestBodyBytes").map(|bytes| bytes as u64),
    };
    (plan, budget_spot)
}

fn limits(spec: View<'_>, http: Option<View<'_>>) -> Limits {
    let mut limits = Limits::default();
    if let Some(view) = spec.object("circuitBreaker") {
        limits.max_connections = view.int("maxConnections").unwrap_or(limits.max_connections);
        limits.max_pending_requests = view
            .int("maxPendingRequests")
            .unwrap_or(limits.max_pending_requests);
        limits.max_parallel_requests = view
            .int("maxParallelRequests")
            .unwrap_or(limits.max_parallel_requests);
        limits.max_parallel_retries = view
            .int("maxParallelRetries")
            .unwrap_or(limits.max_parallel_retries);
        limits.max_requests_per_connection = view.int("maxRequestsPerConnection").and_then(NonZeroU32::new);
        limits.max_connections_per_endpoint =
            view.object("perEndpoint").and_then(|v| v.int("maxConnections"));
    }
    let duration = http.and_then(|view| view.duration("maxConnectionDuration"));
    limits.max_connection_duration = duration.filter(|span| !span.is_zero());
    limits
}

fn keep_alive(view: Option<View<'_>>, http: Option<View<'_>>, report: &mut Report) -> KeepAlivePlan {
    let mut plan = KeepAlivePlan::default();
    let by_timeout = http.and_then(|view| view.duration("connectionIdleTimeout"));
    if let Some(view) = view {
        let idle = exclusive(
            (view, "idleTimeout"),
            http.map(|http| (http, "connectionIdleTimeout")),
            report,
        );
        plan.idle_timeout = if idle {
            view.duration("idleTimeout").unwrap_or(plan.idle_timeout)
        } else {
            plan.idle_timeout
        };
        if view.bool("learn") == Some(false) {
            plan.learning = Learning::Off;
        }
        plan.margin = view.duration("margin").unwrap_or(plan.margin);
        plan.replay_bytes = view.quantity("replayBuffer").unwrap_or(plan.replay_bytes);
    }
    plan.idle_timeout = by_timeout.unwrap_or(plan.idle_timeout);
    plan
}

/// Notes it if two fields that mean the same are both there; whether only the first may count.
fn exclusive(one: (View<'_>, &str), other: Option<(View<'_>, &str)>, report: &mut Report) -> bool {
    let Some(other) = other.filter(|(view, name)| view.has(name)) else {
        return true;
    };
    if one.0.has(one.1) {
        report
            .error(
                Code::Exclusive,
                one.0.key_spot(one.1),
                format!("`{}` and `{}` mean the same", one.1, other.1),
            )
            .also(other.0.key_spot(other.1), "the other one")
            .help("remove one of them");
    }
    false
}

fn timeouts(
    spec: View<'_>,
    http: Option<View<'_>>,
    retry: Option<View<'_>>,
    report: &mut Report,
) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let tcp = spec.object("timeout").and_then(|view| view.object("tcp"));
    timeouts.connect = tcp
        .and_then(|view| view.duration("connectTimeout"))
        .unwrap_or(timeouts.connect);
    if let Some(http) = http {
        timeouts.request = http.duration("requestTimeout").filter(|span| !span.is_zero());
        timeouts.per_try = http.duration("perTryTimeout").filter(|span| !span.is_zero());
        if let Some(span) = http.duration("streamIdleTimeout") {
            timeouts.stream_idle = Some(span).filter(|span| !span.is_zero());
        }
        timeouts.auto = overload::auto_timeout(http, report);
    }
    if let Some(per_retry) = retry.and_then(|view| view.object("perRetry"))
        && per_retry.has("timeout")
        && exclusive(
            (per_retry, "timeout"),
            http.map(|http| (http, "perTryTimeout")),
            report,
        )
    {
        timeouts.per_try = per_retry.duration("timeout");
    }
    if let (Some(per_try), Some(request)) = (timeouts.per_try, timeouts.request)
        && per_try > request
    {
        let at = http.map_or(spec.spot(), |http| http.value_spot("requestTimeout"));
        report
            .error(
                Code::Inconsistent,
                at,
                "one attempt may take longer than the whole request",
            )
            .help("keep the timeout of one attempt within `requestTimeout`");
    }
    timeouts
}

fn tcp_keepalive(spec: View<'_>) -> Option<TcpKeepalive> {
    let mut keepalive = TcpKeepalive::default();
    if let Some(view) = spec.object("tcpKeepalive") {
        keepalive.probes = view.int("probes").unwrap_or(keepalive.probes);
        keepalive.idle = view.duration("idleTime").unwrap_or(keepalive.idle);
        keepalive.interval = view.duration("interval").unwrap_or(keepalive.interval);
    }
    (keepalive.probes > 0).then_some(keepalive)
}
