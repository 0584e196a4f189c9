//! Clusters: a Backend under one plan. The same Backend is several clusters where policies of
//! routes or Gateways treat it differently.

use std::collections::BTreeMap;

use policy::route::ClusterRef;

use crate::model::ClusterSpec;

use super::backend::Backends;
use super::traffic_policy::{Planned, Policies};

/// The clusters that routes have asked for so far.
#[derive(Debug)]
pub(super) struct Clusters<'w> {
    backends: &'w Backends,
    policies: &'w Policies,
    gateways: usize,
    by_name: BTreeMap<String, ClusterRef>,
    list: Vec<ClusterSpec>,
}

/// Who asks for a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'r> {
    /// Namespace and name of the route.
    pub(super) route: (&'r str, &'r str),
    /// The rule's name, if it has one.
    pub(super) rule: Option<&'r str>,
    /// Namespace and name of the Gateway whose policy applies, if one does.
    pub(super) gateway: Option<(&'r str, &'r str)>,
}

impl<'w> Clusters<'w> {
    pub(super) fn new(backends: &'w Backends, policies: &'w Policies, gateways: usize) -> Self {
        Self {
            backends,
            policies,
            gateways,
            by_name: BTreeMap::new(),
            list: Vec::new(),
        }
    }

    /// Whether a policy targets this Gateway, so that its routes have clusters of their own.
    pub(super) fn treats(&self, namespace: &str, name: &str) -> bool {
        self.policies.of_gateway((namespace, name)).is_some()
    }

    /// The cluster of a Backend for one asker; `None` if there is no such Backend.
    pub(super) fn get(&mut self, backend: (&str, &str), asker: Asker<'_>) -> Option<ClusterRef> {
        let endpoints = self.backends.get(&(backend.0.to_owned(), backend.1.to_owned()))?;
        let (policy, suffix) = self.policy(backend, asker);
        let name = format!("{}/{}{suffix}", backend.0, backend.1);
        if let Some(known) = self.by_name.get(&name) {
            return Some(*known);
        }
        let reference = ClusterRef(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(ClusterSpec {
            name: name.as_str().into(),
            endpoints: endpoints.clone(),
            plan: self.policies.plan(policy, backend),
        });
        self.by_name.insert(name, reference);
        Some(reference)
    }

    pub(super) fn finish(self) -> Vec<ClusterSpec> {
        self.list
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
