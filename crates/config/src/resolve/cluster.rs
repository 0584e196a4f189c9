//! Clusters: a Backend under one plan. The same Backend is several clusters where policies of
//! routes or Gateways treat it differently.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::plan::ClusterPlan;
use policy::route::ClusterRef;

use crate::model::ClusterSpec;

use super::backend::Backends;
use super::traffic_policy::{Policies, Target};

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
        self.policies
            .of(&Target::Gateway(namespace.to_owned(), name.to_owned()))
            .is_some()
    }

    /// The cluster of a Backend for one asker; `None` if there is no such Backend.
    pub(super) fn get(&mut self, backend: (&str, &str), asker: Asker<'_>) -> Option<ClusterRef> {
        let endpoints = self.backends.get(&(backend.0.to_owned(), backend.1.to_owned()))?;
        let (plan, suffix) = self.plan(backend, asker);
        let name = format!("{}/{}{suffix}", backend.0, backend.1);
        if let Some(known) = self.by_name.get(&name) {
            return Some(*known);
        }
        let reference = ClusterRef(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(ClusterSpec {
            name: name.as_str().into(),
            endpoints: endpoints.clone(),
            plan,
        });
        self.by_name.insert(name, reference);
        Some(reference)
    }

    pub(super) fn finish(self) -> Vec<ClusterSpec> {
        self.list
    }

    /// The plan of the most specific target, and what it adds to the cluster's name. A suffix
    /// stands for one target, so that equal names have equal plans.
    fn plan(&self, backend: (&str, &str), asker: Asker<'_>) -> (Arc<ClusterPlan>, String) {
        let (namespace, route) = asker.route;
        let own = |text: &str| text.to_owned();
        let of_rule = asker.rule.and_then(|rule| {
            let plan = self
                .policies
                .of(&Target::Rule(own(namespace), own(route), own(rule)))?;
            Some((plan, format!("@{namespace}/{route}/{rule}")))
        });
        let of_route = || {
            let plan = self.policies.of(&Target::Route(own(namespace), own(route)))?;
            Some((plan, format!("@{namespace}/{route}")))
        };
        let of_backend = || {
            let plan = self
                .policies
                .of(&Target::Backend(own(backend.0), own(backend.1)))?;
            Some((plan, String::new()))
        };
        let of_gateway = || {
            let (namespace, name) = asker.gateway?;
            let plan = self.policies.of(&Target::Gateway(own(namespace), own(name)))?;
            let only = self.gateways == 1;
            // No name of a route has a colon, so this suffix cannot be one of a route's.
            Some((
                plan,
                if only {
                    String::new()
                } else {
                    format!("@Gateway:{namespace}/{name}")
                },
            ))
        };
        let found = of_rule.or_else(of_route).or_else(of_backend).or_else(of_gateway);
        let (plan, suffix) = found.unwrap_or((self.policies.none(), String::new()));
        (plan.clone(), suffix)
    }
}
