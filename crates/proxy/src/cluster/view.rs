//! A cluster's copy for the admin.

use std::collections::BTreeMap;

use policy::cluster::{Cluster, EndpointId, EndpointReport};
use policy::plan::ClusterPlan;
use policy::time::Moment;

use super::ClusterHandle;
use crate::telemetry::stats::{ClusterView, EndpointView};

impl ClusterHandle {
    /// A copy of what is shown. The cluster's lock is taken several times instead of for long: with
    /// many endpoints, requests go on meanwhile, and the figures are of slightly different times.
    pub(crate) fn view(&self, now: Moment) -> ClusterView {
        let (mut view, ids) = self.shared.with(|state| {
            let view = without_endpoints(&mut state.cluster, &self.plan, now);
            (view, state.cluster.endpoint_ids())
        });
        let weights: BTreeMap<EndpointId, u32> = self.members.list.iter().copied().collect();
        for some in ids.chunks(ENDPOINTS_AT_ONCE) {
            let describe = |cluster: &Cluster| -> Vec<EndpointReport> {
                let reports = some.iter().map(|&id| cluster.describe_endpoint(id, now));
                reports.flatten().collect()
            };
            let reports = self.shared.with(|state| describe(&state.cluster));
            view.endpoints
                .extend(reports.into_iter().map(|report| EndpointView {
                    weight: weights.get(&report.endpoint).copied().unwrap_or_default(),
                    report,
                }));
        }
        view
    }
}

fn without_endpoints(cluster: &mut Cluster, plan: &ClusterPlan, now: Moment) -> ClusterView {
    let auto = plan.timeouts.auto.as_ref();
    let hedge = plan.hedge.as_ref();
    ClusterView {
        name: cluster.name().to_string(),
        limits: plan.limits.clone(),
        counters: cluster.counters.clone(),
        gauges: cluster.gauges(),
        vitals: cluster.vitals(now),
        outliers: cluster.outlier_counters().clone(),
        checks: plan.health.as_ref().map(|_| *cluster.health_counters()),
        auto_timeout: auto.map(|auto| cluster.auto_timeout(auto, now)),
        hedge_wait: hedge.and_then(|hedge| cluster.hedge_wait(hedge, now)),
        names: Vec::new(),
        endpoints: Vec::new(),
    }
}

/// To describe so many takes some ten microseconds.
const ENDPOINTS_AT_ONCE: usize = 16;
