//! Checked trees -> the model: names are looked up, and what contradicts itself is noted.

mod attach;
mod backend;
mod backend_map;
mod backend_tls;
mod client_policy;
mod cluster;
mod filter;
mod gateway;
mod http_route;
mod identify;
mod matching;
mod network;
mod reference;
mod repeats;
mod resource;
mod retry;
mod selector;
mod service;
mod shadow;
mod telemetry;
mod tls;
mod traffic_policy;
mod view;

use policy::route::{ListenerHost, RouteTable};

use crate::ReadOptions;
use crate::mistake::{Mistakes, Report};
use crate::model::{Dump, Model};
use crate::node::Node;

use backend_tls::BackendTls;
use cluster::Clusters;
use gateway::Gateways;
use reference::Grants;
use resource::Resources;
use service::Services;
use traffic_policy::Policies;

/// The model of all documents, without warnings and dump; `None` if mistakes leave none. It is only of use
/// if the report has no error.
pub(crate) fn model(
    documents: &[Node],
    options: &ReadOptions,
    files: usize,
    report: &mut Report,
) -> Option<Model> {
    let resources = Resources::gather(documents, options, report);
    let mut gateways = Gateways::resolve(&resources, report);
    client_policy::resolve(&resources, &mut gateways, report);
    let grants = Grants::gather(&resources);
    tls::resolve(&resources, &grants, options, &mut gateways, report);
    let backends = backend::resolve(&resources, report);
    let services = Services::resolve(&resources, options, files, report);
    let policies = Policies::resolve(&resources, report);
    let access_log = telemetry::resolve(&resources, report);
    let backend_tls = BackendTls::resolve(&resources, options, report);
    let clusters = Clusters::new(
        (&backends, &services),
        (&policies, &backend_tls),
        gateways.count(),
    );
    let mut world = World {
        resources: &resources,
        policies: &policies,
        gateways: &gateways,
        grants: &grants,
        services: &services,
        clusters,
    };
    let routes = http_route::resolve(&mut world, report);
    services.check_used(report);
    backend::check_used(&resources, &world.clusters, report);
    world.clusters.check_limits(report);
    world.clusters.check_tls(report);
    if report.failed() {
        return None;
    }
    let clusters = world.clusters.finish();
    let hosts: Vec<_> = gateways
        .listeners()
        .iter()
        .map(|listener| ListenerHost {
            address: listener.address,
            hostname: listener.hostname.as_deref(),
        })
        .collect();
    Some(Model {
        routes: RouteTable::build(routes, &hosts),
        listeners: gateways.listeners().to_vec(),
        clusters,
        rate_limits: policies.rate_limits(),
        written: http_route::written(&resources),
        access_log,
        warnings: Mistakes::default(),
        dump: Dump::default(),
    })
}

/// What a route can refer to.
struct World<'w, 'a> {
    resources: &'w Resources<'a>,
    policies: &'w Policies,
    gateways: &'w Gateways,
    grants: &'w Grants,
    services: &'w Services,
    clusters: Clusters<'w>,
}
