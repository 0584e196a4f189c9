//! BackendTrafficPolicies and XBackendTrafficPolicies: plans and rate limits by target.

mod balance;
mod budget;
mod health;
mod overload;
mod plan;
mod rate_limit;
mod target;
mod variant;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use policy::plan::{ClusterPlan, RateLimitPlan, RetryBudgetPlan, RetryPlan, UnsafeMethods};
use policy::route::{Limit, RateLimitRef};

use crate::mistake::{Code, Report};
use crate::model::RateLimitSpec;
use crate::node::Spot;
use crate::shape::ResourceKind;

use super::cluster::Asker;
use super::resource::{Resource, Resources};
use super::view::View;
use target::{Target, Targeted};

pub(super) use target::targets;

/// All policies: at most one of each kind for each target.
#[derive(Debug)]
pub(super) struct Policies {
    by_target: BTreeMap<Target, Planned>,
    /// Of Backends, by XBackendTrafficPolicy.
    budgets: BTreeMap<Target, Budgeted>,
    /// Those that routes have asked for so far.
    rate_limits: RefCell<Vec<RateLimitSpec>>,
    none: Arc<ClusterPlan>,
}

/// What a BackendTrafficPolicy asks for.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    plan: Arc<ClusterPlan>,
    rate_limit: Option<Arc<RateLimited>>,
    /// Where it sets a retry budget of its own, if it does.
    budget: Option<Spot>,
    /// What it asks for of single requests, if it asks for nothing else: then the Backend's own policy
    /// says how connections, limits and health are, and no cluster is made for it.
    requests_only: bool,
    /// Whether it has limits, of which each cluster has its own.
    limits: bool,
    spot: Spot,
}

/// What a policy asks for of single requests.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestWords {
    pub(super) retry: Option<RetryPlan>,
    pub(super) request: Option<Limit>,
    pub(super) per_try: Option<Limit>,
}

/// The rate limit of a policy.
#[derive(Debug)]
struct RateLimited {
    /// `namespace/policy`.
    name: String,
    plan: Arc<RateLimitPlan>,
    /// Whether all routes that it bounds share its buckets; else each has its own.
    shared: bool,
}

/// What an XBackendTrafficPolicy asks for.
#[derive(Clone, Copy, Debug)]
struct Budgeted {
    budget: RetryBudgetPlan,
    spot: Spot,
}

impl Policies {
    pub(super) fn resolve(resources: &Resources<'_>, report: &mut Report) -> Self {
        let mut all = Self {
            by_target: BTreeMap::new(),
            budgets: BTreeMap::new(),
            rate_limits: RefCell::default(),
            none: Arc::new(plan::without_policy()),
        };
        for resource in resources.of(ResourceKind::BackendTrafficPolicy) {
            if let Some(spec) = resource.spec {
                all.add(spec, resource, resources, report);
            }
        }
        for resource in resources.of(ResourceKind::XBackendTrafficPolicy) {
            if let Some(spec) = resource.spec {
                all.add_budget(spec, resource, resources, report);
            }
        }
        all
    }

    /// All rate limits that routes have; what [`Self::rate_limit`] answers points in here.
    pub(super) fn rate_limits(&self) -> Vec<RateLimitSpec> {
        self.rate_limits.borrow().clone()
    }

    pub(super) fn of_rule(&self, asker: Asker<'_>) -> Option<&Planned> {
        let ((namespace, route), rule) = (asker.route, asker.rule?);
        self.of(|| Target::Rule(namespace.to_owned(), route.to_owned(), rule.to_owned()))
    }

    pub(super) fn of_route(&self, (namespace, name): (&str, &str)) -> Option<&Planned> {
        self.of(|| Target::Route(namespace.to_owned(), name.to_owned()))
    }

    pub(super) fn of_backend(&self, (namespace, name): (&str, &str)) -> Option<&Planned> {
        self.of(|| Target::Backend(namespace.to_owned(), name.to_owned()))
    }

    pub(super) fn of_gateway(&self, (namespace, name): (&str, &str)) -> Option<&Planned> {
        self.of(|| Target::Gateway(namespace.to_owned(), name.to_owned()))
    }

    /// What bounds the requests of a rule: the most specific policy holds whole, so one without a
    /// rate limit takes away that of a less specific one. Each route (each rule, of a policy for one rule)
    /// has buckets of its own, unless the policy shares them.
    pub(super) fn rate_limit(&self, asker: Asker<'_>) -> Option<RateLimitRef> {
        let (namespace, route) = asker.route;
        let of_rule = self.of_rule(asker).zip(asker.rule);
        let of_rule = of_rule.map(|(policy, rule)| (policy, format!("{namespace}/{route}/{rule}")));
        let of_route = || {
            let policy = self
                .of_route(asker.route)
                .or_else(|| self.of_gateway(asker.gateway?));
            policy.map(|policy| (policy, format!("{namespace}/{route}")))
        };
        let (policy, own) = of_rule.or_else(of_route)?;
        let limited = policy.rate_limit.as_ref()?;
        let name = if limited.shared {
            limited.name.clone()
        } else {
            format!("{}@{own}", limited.name)
        };
        let mut all = self.rate_limits.borrow_mut();
        let known = all.iter().position(|limit| *limit.name == *name);
        let at = known.unwrap_or_else(|| {
            all.push(RateLimitSpec {
                name: name.into(),
                plan: limited.plan.clone(),
            });
            all.len() - 1
        });
        Some(RateLimitRef(u32::try_from(at).unwrap_or(u32::MAX)))
    }

    /// What the most specific policy of a rule asks for of single requests, if nothing else.
    pub(super) fn request_words(&self, asker: Asker<'_>) -> RequestWords {
        let most_specific = self
            .of_rule(asker)
            .or_else(|| self.of_route(asker.route))
            .or_else(|| self.of_gateway(asker.gateway?));
        let Some(policy) = most_specific.filter(|policy| policy.requests_only) else {
            return RequestWords::default();
        };
        let timeouts = &policy.plan.timeouts;
        RequestWords {
            retry: Some(policy.plan.retry.clone()).filter(|retry| *retry != RetryPlan::default()),
            request: timeouts.request.map(Limit::After),
            per_try: timeouts.per_try.map(Limit::After),
        }
    }

    /// Whether a policy keeps requests that are not idempotent to proven replays: one of the rule, its
    /// route or Gateway, or of one of its Backends.
    pub(super) fn proven_only<'b>(
        &self,
        asker: Asker<'_>,
        mut backends: impl Iterator<Item = (&'b str, &'b str)>,
    ) -> bool {
        let says = |policy: &Planned| matches!(&policy.plan.retry, RetryPlan::Owner(owner) if owner.unsafe_methods == UnsafeMethods::ProvenOnly);
        let of_asker = [
            self.of_rule(asker),
            self.of_route(asker.route),
            asker.gateway.and_then(|gateway| self.of_gateway(gateway)),
        ];
        of_asker.into_iter().flatten().any(says)
            || backends.any(|backend| self.of_backend(backend).is_some_and(says))
    }

    /// The plan of a Backend's cluster under this policy. The Backend's own retry budget counts unless
    /// the policy has one.
    pub(super) fn plan(&self, policy: Option<&Planned>, backend: (&str, &str)) -> Arc<ClusterPlan> {
        let plan = policy.map_or(&self.none, |policy| &policy.plan);
        let target = || Target::Backend(backend.0.to_owned(), backend.1.to_owned());
        let of_backend = || self.budgets.get(&target());
        match (policy.and_then(|policy| policy.budget), of_backend()) {
            (None, Some(budgeted)) => Arc::new(ClusterPlan {
                retry_budget: budgeted.budget,
                ..(**plan).clone()
            }),
            _ => plan.clone(),
        }
    }

    /// Most configurations have few policies or none, and ten thousand routes ask.
    fn of(&self, target: impl FnOnce() -> Target) -> Option<&Planned> {
        if self.by_target.is_empty() {
            return None;
        }
        self.by_target.get(&target())
    }

    fn add(
        &mut self,
        spec: View<'_>,
        resource: &Resource<'_>,
        resources: &Resources<'_>,
        report: &mut Report,
    ) {
        let (plan, budget) = plan::plan(spec, resource.words(), report);
        let plan = Arc::new(plan);
        let rate_limit = spec.object("rateLimit").map(|view| {
            let (plan, shared) = rate_limit::plan(view, report);
            Arc::new(RateLimited {
                name: resource.full_name(),
                plan: Arc::new(plan),
                shared,
            })
        });
        for view in targets(spec, report) {
            let Some(Targeted { target, spot }) = target::find(view, resource, resources, report) else {
                continue;
            };
            if let (Target::Backend(..), true) = (&target, spec.has("rateLimit")) {
                report
                    .error(
                        Code::Inconsistent,
                        spot,
                        "a rate limit bounds routes, and this is a Backend",
                    )
                    .also(spec.key_spot("rateLimit"), "the rate limit")
                    .help(
                        "target the HTTPRoute instead, one of its rules by `sectionName`, or the Gateway; \
                         what a Backend can bear is bounded by `circuitBreaker` and `adaptiveConcurrency`",
                    );
            }
            if let Some(first) = self.by_target.get(&target) {
                conflict(spot, first.spot, resource.kind_name, report);
                continue;
            }
            let planned = Planned {
                requests_only: requests_only(spec),
                limits: spec.has("circuitBreaker") || spec.has("adaptiveConcurrency"),
                plan: plan.clone(),
                rate_limit: rate_limit.clone(),
                budget,
                spot,
            };
            self.by_target.insert(target, planned);
        }
    }

    fn add_budget(
        &mut self,
        spec: View<'_>,
        resource: &Resource<'_>,
        resources: &Resources<'_>,
        report: &mut Report,
    ) {
        let budget = spec.object("retryConstraint").map(budget::rate);
        for view in targets(spec, report) {
            let Some(Targeted { target, spot }) = target::find(view, resource, resources, report) else {
                continue;
            };
            let Some(budget) = budget else { continue };
            if let Some(own) = self.by_target.get(&target).and_then(|planned| planned.budget) {
                report
                    .error(
                        Code::PolicyConflict,
                        spot,
                        "a BackendTrafficPolicy of this Backend sets its retry budget, too",
                    )
                    .also(own, "there")
                    .help("remove one of the two");
            }
            if let Some(first) = self.budgets.get(&target) {
                conflict(spot, first.spot, resource.kind_name, report);
            } else {
                self.budgets.insert(target, Budgeted { budget, spot });
            }
        }
    }
}

/// Whether a policy says nothing but what can be said of single requests.
fn requests_only(spec: View<'_>) -> bool {
    let within = |view: Option<View<'_>>, names: &[&str]| view.is_none_or(|view| view.has_only(names));
    let timeout = spec.object("timeout");
    let http = timeout.and_then(|timeout| timeout.object("http"));
    spec.has_only(&["targetRef", "targetRefs", "retry", "timeout", "rateLimit"])
        && within(timeout, &["http"])
        && within(http, &["requestTimeout", "perTryTimeout"])
}

impl Planned {
    /// Whether it makes no cluster of its own.
    pub(super) fn requests_only(&self) -> bool {
        self.requests_only
    }

    /// Whether it has limits, of which each cluster has its own.
    pub(super) fn limits(&self) -> bool {
        self.limits
    }

    pub(super) fn spot(&self) -> Spot {
        self.spot
    }
}

fn conflict(spot: Spot, first: Spot, kind: &str, report: &mut Report) {
    report
        .error(
            Code::PolicyConflict,
            spot,
            format!("another {kind} has the same target"),
        )
        .also(first, "here")
        .help("policies are not merged: join the two");
}
