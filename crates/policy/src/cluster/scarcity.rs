//! Which limit keeps a cluster from opening another connection.

use super::Cluster;
use crate::plan::ClusterPlan;

/// What there is too little of, for a request that can not have a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// Connections to the cluster (`circuitBreaker.maxConnections`).
    Connections,
    /// Connections to each of its endpoints, of which there may be so many
    /// (`circuitBreaker.perEndpoint.maxConnections`).
    PerEndpoint(u32),
    /// Requests that its endpoints bear at once (`adaptiveConcurrency`).
    Adaptive,
}

impl Cluster {
    /// Which limit is met first under this plan.
    #[must_use]
    pub fn scarce(&self, plan: &ClusterPlan) -> Scarce {
        let limits = &plan.limits;
        if self.connections.len() >= limits.max_connections as usize {
            return Scarce::Connections;
        }
        let full = |most: u32| self.endpoints.iter().any(|(_, endpoint)| endpoint.open >= most);
        match limits.max_connections_per_endpoint {
            Some(most) if full(most) => Scarce::PerEndpoint(most),
            _ if plan.adaptive.is_some() => Scarce::Adaptive,
            Some(most) => Scarce::PerEndpoint(most),
            None => Scarce::Connections,
        }
    }
}
