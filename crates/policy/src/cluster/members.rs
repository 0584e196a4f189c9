//! The endpoints of a configuration snapshot, and their coming and going.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::{Address, Cluster, ConnectionId, EndpointId};
use crate::balance::EndpointSet;
use crate::endpoint::Endpoint;
use crate::plan::Balance;
use crate::retry::straggler::Stragglers;
use crate::time::Moment;

/// The endpoints of one configuration snapshot, held by the snapshot. While it lives (until
/// [`Cluster::retire`]) its endpoints stay usable, so a request ends under the configuration that
/// it started with. Immutable and shared: a clone is the same members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(Arc<EndpointSet>);

impl Members {
    /// Builds what the balance needs to spread keys: with many endpoints milliseconds of work,
    /// hence apart from [`Cluster::adopt`], which is called under a lock. Until then keys go by
    /// chance.
    pub fn prepare(&mut self, balance: &Balance) {
        if let Balance::ConsistentHash(plan) = balance {
            Arc::make_mut(&mut self.0).spread(plan.table);
        }
    }

    /// Where they are in memory: the same for clones, and for no two at a time.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Whether both were made by the same [`Cluster::adopt`].
    pub(super) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Members {
    type Target = EndpointSet;

    fn deref(&self) -> &EndpointSet {
        &self.0
    }
}

impl Cluster {
    /// Takes the endpoints of a new snapshot in; those already known keep what was learned of
    /// them. An address that is named twice is one endpoint with both weights. Pair each call with
    /// one [`Cluster::retire`].
    pub fn adopt(&mut self, addresses: &[(Address, u32)], now: Moment) -> Members {
        let known = self.endpoints.iter();
        let mut known: BTreeMap<Address, EndpointId> = known
            .map(|(id, endpoint)| (endpoint.address.clone(), id))
            .collect();
        let mut list = Vec::<(EndpointId, u32)>::with_capacity(addresses.len());
        let mut keys = Vec::with_capacity(addresses.len());
        let mut place = BTreeMap::<EndpointId, usize>::new();
        self.changed(None);
        for (address, weight) in addresses {
            let id = *known
                .entry(address.clone())
                .or_insert_with(|| self.endpoints.insert(Endpoint::new(address.clone(), now)));
            if let Some(&at) = place.get(&id) {
                list[at].1 = list[at].1.saturating_add(*weight);
            } else {
                place.insert(id, list.len());
                list.push((id, *weight));
                keys.push(address.key());
                self.hold(id, now);
            }
        }
        Members(Arc::new(EndpointSet::new(list, keys)))
    }

    /// A snapshot is gone. Idle connections of endpoints that no snapshot holds any more are
    /// returned for the shell to close.
    pub fn retire(&mut self, members: &Members, now: Moment) -> Vec<ConnectionId> {
        let mut gone = Vec::new();
        for &(id, _) in &members.list {
            let endpoint = self.endpoint(id);
            assert!(endpoint.held_by > 0, "{id:?} was retired more often than adopted");
            endpoint.held_by -= 1;
            if endpoint.held_by > 0 {
                continue;
            }
            let idle = endpoint
                .idle
                .extract(|_| true)
                .into_iter()
                .map(|idle| idle.connection);
            let before = gone.len();
            gone.extend(idle.chain(endpoint.probe.take().map(|probe| probe.connection)));
            gone.extend(endpoint.stragglers.followed());
            endpoint.stragglers = Stragglers::default();
            let closed = endpoint.open == 0;
            self.spare -= gone.len() - before;
            self.let_go(id, now);
            if closed {
                self.endpoints.remove(id);
            }
        }
        for &connection in &gone {
            self.close_locally(connection);
        }
        self.serve_waiting(now);
        gone
    }

    /// One more snapshot holds it.
    fn hold(&mut self, id: EndpointId, now: Moment) {
        let shared = self.shared;
        let endpoint = self.endpoint(id);
        endpoint.held_by += 1;
        if endpoint.held_by > 1 {
            return;
        }
        if let Some(wall) = shared {
            endpoint.suggest(wall);
        }
        endpoint.service.added = now;
        let standing = self.outliers.join(now);
        self.endpoint(id).service.standing = Some(standing);
        self.held += 1;
        self.checks_at = self.checks_at.min(now);
        self.counters.membership_change += 1;
    }

    /// The last snapshot that held it has gone: it is neither checked nor judged any more.
    fn let_go(&mut self, id: EndpointId, now: Moment) {
        let service = &mut self.endpoint(id).service;
        service.health = None;
        if let Some(standing) = service.standing.take() {
            self.outliers.leave(standing);
        }
        self.recount(id, now);
        self.held -= 1;
        self.counters.membership_change += 1;
    }
}
