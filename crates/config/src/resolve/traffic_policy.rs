//! BackendTrafficPolicies: plans by target.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use policy::plan::{Balance, ClusterPlan, KeepAlivePlan, Learning, Limits, TcpKeepalive, Timeouts};

use crate::mistake::{Code, Report};
use crate::node::Spot;
use crate::shape::{APOXY_GROUP, ENVOY_GROUP, GATEWAY_GROUP, OWN_GROUP, ResourceKind};
use crate::suggest::nearest;

use super::resource::{Resource, Resources};
use super::retry;
use super::view::{View, Word};

/// What a policy applies to, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Gateway(String, String),
    Backend(String, String),
    Route(String, String),
    /// Of this route the rule of this name.
    Rule(String, String, String),
}

/// All policies: at most one plan for each target.
#[derive(Debug)]
pub(super) struct Policies {
    plans: BTreeMap<Target, Planned>,
    none: Arc<ClusterPlan>,
}

#[derive(Debug)]
struct Planned {
    plan: Arc<ClusterPlan>,
    spot: Spot,
}

impl Policies {
    pub(super) fn resolve(resources: &Resources<'_>, report: &mut Report) -> Self {
        let none = Arc::new(default_plan());
        let mut all = Self {
            plans: BTreeMap::new(),
            none,
        };
        for resource in resources.of(ResourceKind::BackendTrafficPolicy) {
            let Some(spec) = resource.spec else { continue };
            let plan = Arc::new(plan(spec, report));
            for view in targets(spec, report) {
                if let Some((target, spot)) = target(view, resource, resources, report) {
                    all.add(
                        target,
                        Planned {
                            plan: plan.clone(),
                            spot,
                        },
                        report,
                    );
                }
            }
        }
        all
    }

    /// The plan of exactly this target.
    pub(super) fn of(&self, target: &Target) -> Option<&Arc<ClusterPlan>> {
        self.plans.get(target).map(|planned| &planned.plan)
    }

    /// The plan where no policy applies.
    pub(super) fn none(&self) -> &Arc<ClusterPlan> {
        &self.none
    }

    fn add(&mut self, target: Target, planned: Planned, report: &mut Report) {
        if let Some(first) = self.plans.get(&target) {
            report
                .error(
                    Code::PolicyConflict,
                    planned.spot,
                    "another BackendTrafficPolicy has the same target",
                )
                .also(first.spot, "here")
                .help("policies are not merged: join the two");
        } else {
            self.plans.insert(target, planned);
        }
    }
}

/// A policy's `targetRef` or `targetRefs`.
pub(super) fn targets<'a>(spec: View<'a>, report: &mut Report) -> Vec<View<'a>> {
    match (spec.has("targetRef"), spec.has("targetRefs")) {
        (true, true) => {
            report
                .error(
                    Code::Exclusive,
                    spec.key_spot("targetRef"),
                    "`targetRef` and `targetRefs` exclude each other",
                )
                .also(spec.key_spot("targetRefs"), "the other one")
                .help("keep `targetRefs`");
        }
        (false, false) => {
            report
                .error(Code::Missing, spec.spot(), "the policy has no `targetRefs`")
                .help("add `targetRefs:` with `kind` and `name` of what it applies to");
        }
        _ => {}
    }
    if spec.has("targetRefs") {
        return spec.objects("targetRefs");
    }
    spec.object("targetRef").into_iter().collect()
}

/// What a targetRef names, if that exists.
fn target(
    view: View<'_>,
    policy: &Resource<'_>,
    resources: &Resources<'_>,
    report: &mut Report,
) -> Option<(Target, Spot)> {
    let (kind, name) = (view.word("kind")?, view.word("name")?);
    let (kind_of, groups): (_, &[&str]) = match kind.text {
        "Gateway" => (ResourceKind::Gateway, &[GATEWAY_GROUP, APOXY_GROUP]),
        "HTTPRoute" => (ResourceKind::HttpRoute, &[GATEWAY_GROUP, APOXY_GROUP]),
        "Backend" => (ResourceKind::Backend, &[OWN_GROUP, ENVOY_GROUP]),
        _ => return None,
    };
    if let Some(group) = view.word("group").filter(|group| !groups.contains(&group.text)) {
        let message = format!("`{}` has no kind `{}`", group.text, kind.text);
        report
            .error(Code::TargetNotFound, group.spot, message)
            .help(format!("write `group: {}`", groups[0]));
        return None;
    }
    let namespace = &policy.namespace;
    let Some(found) = resources.find(kind_of, namespace, name.text) else {
        if report.complete(kind_of) {
            report
                .error(
                    Code::TargetNotFound,
                    name.spot,
                    format!("there is no {} `{namespace}/{}`", kind.text, name.text),
                )
                .help(resources.instead(kind_of, namespace, name.text));
        }
        return None;
    };
    let (namespace, owned) = (namespace.clone(), name.text.to_owned());
    let target = match (kind_of, view.word("sectionName")) {
        (ResourceKind::HttpRoute, Some(rule)) => {
            check_rule(found, rule, report);
            Target::Rule(namespace, owned, rule.text.to_owned())
        }
        (_, Some(section)) => {
            report
                .error(
                    Code::Later,
                    section.spot,
                    format!("`sectionName` of a {} is not supported yet", kind.text),
                )
                .help("remove it: the policy then applies to the whole of it");
            return None;
        }
        (ResourceKind::HttpRoute, None) => Target::Route(namespace, owned),
        (ResourceKind::Gateway, None) => Target::Gateway(namespace, owned),
        (_, None) => Target::Backend(namespace, owned),
    };
    Some((target, name.spot))
}

fn check_rule(route: &Resource<'_>, rule: Word<'_>, report: &mut Report) {
    let rules = route.spec.map(|spec| spec.objects("rules")).unwrap_or_default();
    let names: Vec<&str> = rules.iter().filter_map(|rule| rule.text("name")).collect();
    if !names.contains(&rule.text) {
        let help = match nearest(rule.text, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("give a rule of the route `name: {}`", rule.text),
        };
        let message = format!(
            "HTTPRoute `{}` has no rule called `{}`",
            route.full_name(),
            rule.text
        );
        report.error(Code::TargetNotFound, rule.spot, message).help(help);
    }
}

/// The plan without any policy. TCP keep-alive is on: it finds silent flows that nothing else does.
fn default_plan() -> ClusterPlan {
    ClusterPlan {
        tcp_keepalive: Some(TcpKeepalive::default()),
        ..ClusterPlan::default()
    }
}

fn plan(spec: View<'_>, report: &mut Report) -> ClusterPlan {
    let http = spec.object("timeout").and_then(|view| view.object("http"));
    let retry = spec.object("retry");
    ClusterPlan {
        limits: limits(spec, http),
        keep_alive: keep_alive(spec.object("keepAlive"), http, report),
        timeouts: timeouts(spec, http, retry, report),
        retry: retry
            .map(|view| retry::of_policy(view, report))
            .unwrap_or_default(),
        tcp_keepalive: tcp_keepalive(spec),
        balance: match spec.object("loadBalancer").and_then(|view| view.text("type")) {
            Some("RoundRobin") => Balance::RoundRobin,
            Some("Random") => Balance::Random,
            _ => Balance::LeastRequest,
        },
        ..ClusterPlan::default()
    }
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
