//! One configuration, immutable: a request ends under the snapshot that it started with.

pub(crate) mod rate_limit;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use config::model::{Downstream, EndpointTls, Model};
use policy::cluster::Address;
use policy::route::{ClusterRef, ListenerId, RateLimitRef, RouteTable};
use wire::h1::head::Limits;

use crate::cluster::{ClusterHandle, SharedCluster};
use crate::engine::clock::Clock;
use crate::snapshot::rate_limit::{RateLimits, SharedRateLimit};
use crate::transport::tls::{EndpointSides, ServerSide, ServerSides};

/// What outlives snapshots: clusters and rate limits, by name.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    by_name: BTreeMap<Arc<str>, Arc<SharedCluster>>,
    /// How each was spoken to last.
    tls: BTreeMap<Arc<str>, Option<Arc<EndpointTls>>>,
    rate_limits: RateLimits,
}

impl Clusters {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Forgets the clusters that `keep` is not true of.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Arc<str>, &mut Arc<SharedCluster>) -> bool) {
        self.by_name.retain(keep);
        self.tls.retain(|name, _| self.by_name.contains_key(name));
    }
}

/// One cluster's endpoints as they are known now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    /// Addresses and weights.
    pub(crate) addresses: Vec<(Address, u32)>,
    /// There is none because no name can be resolved, for this reason.
    pub(crate) unresolved: Option<Arc<str>>,
}

/// A configuration as the workers use it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    model: Arc<Model>,
    clusters: Vec<ClusterHandle>,
    rate_limits: Vec<Arc<SharedRateLimit>>,
    /// No other snapshot of this process has the same.
    pub(crate) serial: NonZeroU64,
    /// Of each listener, in the model's order.
    client_sides: Vec<ClientSide>,
    /// Of connections that this configuration has no listener for: nobody is believed.
    nowhere: ClientSide,
}

/// How clients of one listener are treated.
#[derive(Debug, Default)]
struct ClientSide {
    settings: Arc<Downstream>,
    /// What it presents, if it speaks TLS.
    tls: Option<Arc<ServerSide>>,
    /// Limits on what they send.
    limits: Limits,
}

impl ClientSide {
    fn of(settings: &Arc<Downstream>, tls: Option<&Arc<ServerSide>>) -> Self {
        let limits = Limits {
            head_bytes: settings.head_bytes,
            fields: settings.fields,
            request_line: settings.request_line,
            ..Limits::default()
        };
        Self {
            settings: settings.clone(),
            tls: tls.cloned(),
            limits,
        }
    }
}

impl Snapshot {
    /// Builds a snapshot. `clusters` holds those of the snapshots before, so that what was learned or
    /// counted and the idle connections survive; `endpoints` gives each cluster's addresses and weights; `tls` what
    /// each address with TLS presents, and how clusters with TLS are spoken to.
    pub(crate) fn build(
        model: Arc<Model>,
        (tls, endpoint_sides): (&ServerSides, &EndpointSides),
        endpoints: &[Endpoints],
        clusters: &mut Clusters,
        clock: Clock,
    ) -> Self {
        let now = clock.now();
        let handle = |(spec, endpoints): (&config::model::ClusterSpec, &Endpoints)| {
            // Connections that were opened by another rule of trust are none of this configuration's.
            let before = clusters.tls.insert(spec.name.clone(), spec.tls.clone());
            if before.is_some_and(|before| before != spec.tls) {
                clusters.by_name.remove(&spec.name);
            }
            let new = || SharedCluster::new(spec.name.clone());
            let shared = clusters
                .by_name
                .entry(spec.name.clone())
                .or_insert_with(new)
                .clone();
            let mut members = shared.with(|state| state.cluster.adopt(&endpoints.addresses, now));
            members.prepare(&spec.plan.balance);
            ClusterHandle {
                shared,
                members,
                plan: spec.plan.clone(),
                tls: endpoint_sides.get(&spec.name).cloned(),
                clock,
                unresolved: endpoints.unresolved.clone(),
            }
        };
        let handles = model.clusters.iter().zip(endpoints).map(handle).collect();
        let rate_limits = clusters.rate_limits.adopt(&model.rate_limits);
        let listeners = model.listeners.iter();
        let client_sides =
            listeners.map(|listener| ClientSide::of(&listener.downstream, tls.get(&listener.address)));
        let client_sides = client_sides.collect();
        static SNAPSHOTS: AtomicU64 = AtomicU64::new(0);
        Self {
            model,
            clusters: handles,
            rate_limits,
            serial: NonZeroU64::MIN.saturating_add(SNAPSHOTS.fetch_add(1, Relaxed)),
            client_sides,
            nowhere: ClientSide::default(),
        }
    }

    /// All routes.
    pub(crate) fn routes(&self) -> &RouteTable {
        &self.model.routes
    }

    /// How clients of a listener are treated; `None` is a connection whose listener is gone.
    pub(crate) fn downstream(&self, listener: Option<ListenerId>) -> &Downstream {
        &self.client_side(listener).settings
    }

    /// What a listener presents to clients, if it speaks TLS.
    pub(crate) fn server_side(&self, listener: Option<ListenerId>) -> Option<&Arc<ServerSide>> {
        self.client_side(listener).tls.as_ref()
    }

    /// The limits on what clients of a listener send.
    pub(crate) fn limits(&self, listener: Option<ListenerId>) -> &Limits {
        &self.client_side(listener).limits
    }

    fn client_side(&self, listener: Option<ListenerId>) -> &ClientSide {
        listener.map_or(&self.nowhere, |listener| &self.client_sides[listener.0 as usize])
    }

    /// The cluster that a route refers to.
    pub(crate) fn cluster(&self, reference: ClusterRef) -> &ClusterHandle {
        &self.clusters[reference.0 as usize]
    }

    /// The rate limit that a route refers to.
    pub(crate) fn rate_limit(&self, reference: RateLimitRef) -> &SharedRateLimit {
        &self.rate_limits[reference.0 as usize]
    }

    /// The same as it is configured.
    pub(crate) fn rate_limit_spec(&self, reference: RateLimitRef) -> &config::model::RateLimitSpec {
        &self.model.rate_limits[reference.0 as usize]
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
