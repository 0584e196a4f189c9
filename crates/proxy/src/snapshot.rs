//! One configuration, immutable: a request ends under the snapshot that it started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use config::model::{Downstream, Model};
use policy::cluster::Address;
use policy::route::{ClusterRef, ListenerId, RouteTable};

use crate::clock::Clock;
use crate::upstream::shared::{ClusterHandle, SharedCluster};

/// Clusters by name, over all snapshots.
pub(crate) type Clusters = BTreeMap<Arc<str>, Arc<SharedCluster>>;

/// A configuration as the workers use it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    model: Arc<Model>,
    clusters: Vec<ClusterHandle>,
    /// Limits on what clients send.
    pub(crate) limits: wire::h1::head::Limits,
}

impl Snapshot {
    /// Builds a snapshot. `clusters` holds those of the snapshots before, so that what was learned
    /// and the idle connections survive; `endpoints` gives each cluster's addresses and weights.
    pub(crate) fn build(
        model: Arc<Model>,
        endpoints: &[Vec<(Address, u32)>],
        clusters: &mut Clusters,
        clock: Clock,
    ) -> Self {
        let now = clock.now();
        let handle = |(spec, addresses): (&config::model::ClusterSpec, &Vec<_>)| {
            let new = || SharedCluster::new(spec.name.clone());
            let shared = clusters.entry(spec.name.clone()).or_insert_with(new).clone();
            let mut members = shared.with(|state| state.cluster.adopt(addresses, now));
            members.prepare(&spec.plan.balance);
            ClusterHandle {
                shared,
                members,
                plan: spec.plan.clone(),
                clock,
            }
        };
        let clusters = model.clusters.iter().zip(endpoints).map(handle).collect();
        let limits = wire::h1::head::Limits {
            head_bytes: model.downstream.head_bytes,
            fields: model.downstream.fields,
            request_line: model.downstream.request_line,
            ..wire::h1::head::Limits::default()
        };
        Self {
            model,
            clusters,
            limits,
        }
    }

    /// All routes.
    pub(crate) fn routes(&self) -> &RouteTable {
        &self.model.routes
    }

    /// Settings of the downstream side.
    pub(crate) fn downstream(&self) -> &Downstream {
        &self.model.downstream
    }

    /// The cluster that a route refers to.
    pub(crate) fn cluster(&self, reference: ClusterRef) -> &ClusterHandle {
        &self.clusters[reference.0 as usize]
    }

    /// All clusters.
    pub(crate) fn clusters(&self) -> &[ClusterHandle] {
        &self.clusters
    }

    /// The listener by which requests that came to `address` are routed; `None` if this
    /// configuration does not listen there any more.
    pub(crate) fn listener(&self, address: SocketAddr) -> Option<ListenerId> {
        let index = self
            .model
            .listeners
            .iter()
            .position(|listener| listener.address == address)?;
        Some(ListenerId(u32::try_from(index).ok()?))
    }
}
