//! Clusters: a Backend under one plan. The same Backend is several clusters where policies of
//! routes or Gateways treat it differently.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::plan::{ClusterPlan, HealthProbe};
use policy::route::ClusterRef;

use crate::mistake::{Code, Report};
use crate::model::{ClusterSpec, EndpointSpec};
use crate::node::Spot;
use crate::shape::check::listed;

use super::backend::Backends;
use super::backend_tls::BackendTls;
use super::service::{Found, Services};
use super::traffic_policy::{Planned, Policies};

/// The clusters that routes have asked for so far.
#[derive(Debug)]
pub(super) struct Clusters<'w> {
    backends: &'w Backends,
    services: &'w Services,
    policies: &'w Policies,
    tls: &'w BackendTls,
    gateways: usize,
    by_name: BTreeMap<String, ClusterRef>,
    list: Vec<ClusterSpec>,
    /// A name that a route of each of them serves, if one has a whole one.
    hosts: Vec<Option<String>>,
    /// The policy of each of them: where it is, and whether it has limits.
    made_by: Vec<Option<(Spot, bool)>>,
    /// Backends that some route refers to.
    used: BTreeSet<(String, String)>,
}

/// Who asks for a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'r> {
    /// Namespace and name of the route.
    pub(super) route: (&'r str, &'r str),
    /// The first of the route's hostnames that is no wildcard.
    pub(super) host: Option<&'r str>,
    /// The rule's name, if it has one.
    pub(super) rule: Option<&'r str>,
    /// Namespace and name of the Gateway whose policy applies, if one does.
    pub(super) gateway: Option<(&'r str, &'r str)>,
}

impl<'w> Clusters<'w> {
    pub(super) fn new(
        (backends, services): (&'w Backends, &'w Services),
        (policies, tls): (&'w Policies, &'w BackendTls),
        gateways: usize,
    ) -> Self {
        Self {
            backends,
            services,
            policies,
            tls,
            gateways,
            by_name: BTreeMap::new(),
            list: Vec::new(),
            hosts: Vec::new(),
            made_by: Vec::new(),
            used: BTreeSet::new(),
        }
    }

    /// Whether a policy targets this Gateway, so that its routes have clusters of their own.
    pub(super) fn treats(&self, namespace: &str, name: &str) -> bool {
        self.policies.of_gateway((namespace, name)).is_some()
    }

    /// The cluster of a Backend, or of a Service's port (`name:port`), for one asker; `None` if there is
    /// no such Backend or port.
    pub(super) fn get(&mut self, backend: (&str, &str), asker: Asker<'_>) -> Option<ClusterRef> {
        let endpoints = match backend.1.split_once(':') {
            Some((service, port)) => match self.services.find(backend.0, service, port.parse().ok()?) {
                Found::Endpoints(endpoints) => endpoints,
                _ => return None,
            },
            None => self
                .backends
                .get(&(backend.0.to_owned(), backend.1.to_owned()))?
                .clone(),
        };
        let (policy, suffix) = self.policy(backend, asker);
        let name = format!("{}/{}{suffix}", backend.0, backend.1);
        if let Some(known) = self.by_name.get(&name) {
            let host = &mut self.hosts[known.0 as usize];
            if host.is_none() {
                *host = asker.host.map(str::to_owned);
            }
            return Some(*known);
        }
        let reference = ClusterRef(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(ClusterSpec {
            name: name.as_str().into(),
            endpoints,
            plan: self.policies.plan(policy, backend),
            tls: self.tls.of(backend).map(|(tls, _)| tls.clone()),
        });
        self.made_by
            .push(policy.map(|policy| (policy.spot(), policy.limits())));
        self.used.insert((backend.0.to_owned(), backend.1.to_owned()));
        self.hosts.push(asker.host.map(str::to_owned));
        self.by_name.insert(name, reference);
        Some(reference)
    }

    /// Whether some route refers to a Backend.
    pub(super) fn is_used(&self, backend: &(String, String)) -> bool {
        self.used.contains(backend)
    }

    /// The plan of a cluster.
    pub(super) fn plan(&self, cluster: ClusterRef) -> &ClusterPlan {
        &self.list[cluster.0 as usize].plan
    }

    /// Notes Backends whose limits are counted in several clusters.
    pub(super) fn check_limits(&self, report: &mut Report) {
        let backend = |spec: &ClusterSpec| spec.name.split('@').next().unwrap_or_default().to_owned();
        let mut by_backend: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, spec) in self.list.iter().enumerate() {
            by_backend.entry(backend(spec)).or_default().push(at);
        }
        for (backend, clusters) in by_backend.into_iter().filter(|(_, clusters)| clusters.len() > 1) {
            let made_by = || clusters.iter().filter_map(|at| self.made_by[*at]);
            if !made_by().any(|(_, limits)| limits) {
                continue;
            }
            let split = clusters
                .iter()
                .rev()
                .find(|at| self.list[**at].name.contains('@'));
            let Some((spot, _)) = split.and_then(|at| self.made_by[*at]) else {
                continue;
            };
            let names = listed(clusters.iter().map(|at| &*self.list[*at].name)).replace(" or ", " and ");
            let message = format!(
                "`{backend}` has limits of its own in {} clusters: {names}",
                clusters.len()
            );
            report.error(Code::SplitLimits, spot, message).help(
                "limits are counted for each cluster, so their sum is what the Backend has to bear; keep limits in a \
                 policy of the Backend, and only `retry`, `requestTimeout`, `perTryTimeout` and `rateLimit` in those \
                 of routes: then there is one cluster",
            );
        }
    }

    /// Health checks speak plain text yet: endpoints that speak TLS would all be taken for broken.
    pub(super) fn check_tls(&self, report: &mut Report) {
        for spec in &self.list {
            let backend = spec.name.split('@').next().unwrap_or_default();
            let Some((_, spot)) = backend.split_once('/').and_then(|backend| self.tls.of(backend)) else {
                continue;
            };
            let asks = |health: &policy::plan::HealthPlan| !matches!(health.probe, HealthProbe::Tcp { .. });
            if spec.plan.health.as_ref().is_some_and(asks) {
                report
                    .error(
                        Code::Later,
                        spot,
                        format!("health checks of `{}` over TLS are not supported yet", spec.name),
                    )
                    .help("use `healthCheck.active.type: TCP` without a payload, or remove `healthCheck.active`");
            }
        }
    }

    pub(super) fn finish(self) -> Vec<ClusterSpec> {
        let mut list = self.list;
        for (spec, route) in list.iter_mut().zip(self.hosts) {
            name_checked(spec, route);
        }
        list
    }

    /// The policy of the most specific target, and what it adds to the cluster's name. A suffix
    /// stands for one target, so that equal names have equal plans.
    fn policy(&self, backend: (&str, &str), asker: Asker<'_>) -> (Option<&'w Planned>, String) {
        let policies = self.policies;
        let (namespace, route) = asker.route;
        let of_rule = asker.rule.zip(policies.of_rule(asker));
        let of_rule = of_rule.map(|(rule, policy)| (policy, format!("@{namespace}/{route}/{rule}")));
        let of_route = || Some((policies.of_route(asker.route)?, format!("@{namespace}/{route}")));
        // One that speaks of single requests only is the route's affair; limits belong to the Backend.
        if let Some((policy, suffix)) = of_rule.or_else(of_route)
            && !policy.requests_only()
        {
            return (Some(policy), suffix);
        }
        if let Some(policy) = policies.of_backend(backend) {
            return (Some(policy), String::new());
        }
        match asker.gateway {
            Some((namespace, name)) if self.gateways > 1 => {
                // No name of a route has a colon, so this suffix cannot be one of a route's.
                let suffix = format!("@Gateway:{namespace}/{name}");
                (policies.of_gateway((namespace, name)), suffix)
            }
            Some(gateway) => (policies.of_gateway(gateway), String::new()),
            None => (None, String::new()),
        }
    }
}

/// The `Host` of health checks that name none: that of the endpoints, if they have one name, else a
/// name that a route to them serves. Servers that tell sites apart by it would answer others wrongly.
fn name_checked(spec: &mut ClusterSpec, route: Option<String>) {
    let named = |spec: &EndpointSpec| match spec {
        EndpointSpec::Fqdn { hostname, .. } => Some(hostname.clone()),
        EndpointSpec::Ip(_) | EndpointSpec::Unix(_) => None,
    };
    let first = spec.endpoints.first().and_then(named);
    let own = first.filter(|first| {
        spec.endpoints
            .iter()
            .all(|other| named(other).as_ref() == Some(first))
    });
    let asks = |plan: &ClusterPlan| {
        let probe = plan.health.as_ref().map(|health| &health.probe);
        matches!(probe, Some(HealthProbe::Http { host: None, .. }))
    };
    if !asks(&spec.plan) {
        return;
    }
    if let Some(HealthProbe::Http { host, .. }) = Arc::make_mut(&mut spec.plan)
        .health
        .as_mut()
        .map(|health| &mut health.probe)
    {
        *host = own.or(route);
    }
}
