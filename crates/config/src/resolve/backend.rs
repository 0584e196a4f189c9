//! Backends: endpoints by name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::mistake::{Code, Report};
use crate::model::EndpointSpec;
use crate::shape::ResourceKind;

use super::cluster::Clusters;
use super::resource::Resources;
use super::view::View;

/// Endpoints of each Backend, by namespace and name.
pub(super) type Backends = BTreeMap<(String, String), Vec<EndpointSpec>>;

pub(super) fn resolve(resources: &Resources<'_>, report: &mut Report) -> Backends {
    let mut backends = Backends::new();
    for resource in resources.of(ResourceKind::Backend) {
        let endpoints = resource
            .spec
            .map(|spec| endpoints(spec, report))
            .unwrap_or_default();
        backends.insert((resource.namespace.clone(), resource.name.clone()), endpoints);
    }
    backends
}

/// Notes Backends that no route refers to: most are slips, or left over.
pub(super) fn check_used(resources: &Resources<'_>, clusters: &Clusters<'_>, report: &mut Report) {
    if report.failed() {
        return; // What seems unused may be what a mistake keeps apart.
    }
    for resource in resources.of(ResourceKind::Backend) {
        if !clusters.is_used(&(resource.namespace.clone(), resource.name.clone())) {
            let message = format!("no route refers to the Backend `{}`", resource.full_name());
            report
                .error(Code::Unused, resource.spot, message)
                .help("refer to it in the `backendRefs` of an HTTPRoute, or remove it");
        }
    }
}

fn endpoints(spec: View<'_>, report: &mut Report) -> Vec<EndpointSpec> {
    let mut endpoints = Vec::new();
    for view in spec.objects("endpoints") {
        let Some(endpoint) = endpoint(view, report) else {
            continue;
        };
        if endpoints.contains(&endpoint) {
            report
                .error(Code::DuplicateName, view.spot(), "this endpoint is there twice")
                .help("remove one of them; weights belong on `backendRefs`");
        } else {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

fn endpoint(view: View<'_>, report: &mut Report) -> Option<EndpointSpec> {
    let given: Vec<&str> = ["ip", "fqdn", "unix"]
        .into_iter()
        .filter(|name| view.has(name))
        .collect();
    if given.len() != 1 {
        let message = match given.as_slice() {
            [] => "the endpoint says nothing of where it is".to_owned(),
            several => format!("the endpoint is {} at once", several.join(" and ")),
        };
        report
            .error(Code::Exclusive, view.spot(), message)
            .help("use exactly one of `ip`, `fqdn` and `unix`");
        return None;
    }
    if let Some(ip) = view.object("ip") {
        let address: IpAddr = ip.text("address")?.parse().ok()?;
        return Some(EndpointSpec::Ip(SocketAddr::new(address, ip.int("port")?)));
    }
    if let Some(fqdn) = view.object("fqdn") {
        let hostname = fqdn.text("hostname")?.to_lowercase();
        return Some(EndpointSpec::Fqdn {
            hostname,
            port: fqdn.int("port")?,
        });
    }
    let unix = view.object("unix")?;
    let path = unix.word("path")?;
    if path.text.len() > UNIX_PATH_BYTES_MAX {
        report
            .error(
                Code::OutOfRange,
                path.spot,
                format!("this path has {} bytes", path.text.len()),
            )
            .help(format!(
                "a Unix domain socket's path has at most {UNIX_PATH_BYTES_MAX}"
            ));
        return None;
    }
    Some(EndpointSpec::Unix(PathBuf::from(path.text)))
}

/// `sockaddr_un` holds 108 bytes, the closing zero included.
pub(super) const UNIX_PATH_BYTES_MAX: usize = 107;
