//! Clusters: a Backend under one plan. The same Backend is several clusters where policies of
//! routes or Gateways treat it differently.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::plan::{ClusterPlan, HealthProbe};
use policy::route::ClusterRef;

use crate::model::{ClusterSpec, EndpointSpec};

use super::backend::Backends;
use super::service::{Found, Services};
use super::traffic_policy::{Planned, Policies};

/// The clusters that routes have asked for so far.
#[derive(Debug)]
pub(super) struct Clusters<'w> {
    backends: &'w Backends,
    services: &'w Services,
    policies: &'w Policies,
    gateways: usize,
    by_name: BTreeMap<String, ClusterRef>,
    list: Vec<ClusterSpec>,
    /// A name that a route of each of them serves, if one has a whole one.
    hosts: Vec<Option<String>>,
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
        policies: &'w Policies,
        gateways: usize,
    ) -> Self {
        Self {
            backends,
            services,
            policies,
            gateways,
            by_name: BTreeMap::new(),
            list: Vec::new(),
            hosts: Vec::new(),
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
        });
        self.hosts.push(asker.host.map(str::to_owned));
        self.by_name.insert(name, reference);
        Some(reference)
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
        if let (Some(rule), Some(policy)) = (asker.rule, policies.of_rule(asker)) {
            return (Some(policy), format!("@{namespace}/{route}/{rule}"));
        }
        if let Some(policy) = policies.of_route(asker.route) {
            return (Some(policy), format!("@{namespace}/{route}"));
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
