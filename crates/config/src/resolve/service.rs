//! Services: where their ports are, by `--backends`, by the EndpointSlices of the same files, or by
//! their own address in the cluster.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::ReadOptions;
use crate::mistake::Report;
use crate::model::EndpointSpec;
use crate::node::Value;
use crate::shape::{Format, ResourceKind};

use super::backend_map::BackendMap;
use super::resource::{Resource, Resources};
use super::view::View;

/// The label that names an EndpointSlice's Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name.
type Key = (String, String);

/// All Services, and what is known of their endpoints.
#[derive(Debug)]
pub(super) struct Services {
    map: BackendMap,
    known: BTreeMap<Key, Service>,
    slices: BTreeMap<Key, Vec<Slice>>,
    /// Those that somebody was told of already.
    told: RefCell<BTreeSet<(String, String, u16)>>,
}

#[derive(Debug)]
struct Service {
    ports: Vec<Port>,
    /// Its one address in the cluster.
    address: Option<IpAddr>,
}

#[derive(Debug)]
struct Port {
    name: String,
    port: u16,
    /// The endpoints' port, where it is a number; else that is the Service's own.
    target: Option<u16>,
}

#[derive(Debug)]
struct Slice {
    /// Names and numbers.
    ports: Vec<(String, u16)>,
    addresses: Vec<Address>,
}

#[derive(Debug)]
enum Address {
    Ip(IpAddr),
    Name(String),
}

/// What is known of a Service's port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Its endpoints: none, if none is ready.
    Endpoints(Vec<EndpointSpec>),
    /// It has no such port, but these.
    NoPort(Vec<u16>),
    /// Nothing says where its endpoints are.
    Unknown,
    /// Nothing says that there is such a Service.
    Absent,
}

impl Services {
    pub(super) fn resolve(
        resources: &Resources<'_>,
        options: &ReadOptions,
        files: usize,
        report: &mut Report,
    ) -> Self {
        let key = |resource: &Resource<'_>| (resource.namespace.clone(), resource.name.clone());
        let services = resources.of(ResourceKind::Service);
        let mut slices: BTreeMap<Key, Vec<Slice>> = BTreeMap::new();
        for resource in resources.of(ResourceKind::EndpointSlice) {
            let (Some(root), Some(service)) = (resource.root, resource.labels().remove(SERVICE_NAME)) else {
                continue;
            };
            let of_service = slices.entry((resource.namespace.clone(), service));
            of_service.or_default().push(slice(root));
        }
        Self {
            map: BackendMap::read(options, files, report),
            known: services
                .map(|resource| (key(resource), service(resource)))
                .collect(),
            slices,
            told: RefCell::default(),
        }
    }

    /// Where a Service's port is.
    pub(super) fn find(&self, namespace: &str, name: &str, port: u16) -> Found {
        if let Some(endpoints) = self.map.find(namespace, name, Some(port)) {
            return Found::Endpoints(endpoints.to_vec());
        }
        let key = (namespace.to_owned(), name.to_owned());
        let slices = self.slices.get(&key);
        let Some(service) = self.known.get(&key) else {
            // Without the Service, its port is that of the endpoints.
            return slices.map_or(Found::Absent, |slices| {
                endpoints(slices, |_, number| number == port)
            });
        };
        let Some(own) = service.ports.iter().find(|own| own.port == port) else {
            return Found::NoPort(service.ports.iter().map(|own| own.port).collect());
        };
        match (slices, service.address) {
            (Some(slices), _) => {
                let named = endpoints(slices, |name, _| name == own.name);
                if named != Found::Unknown {
                    return named;
                }
                endpoints(slices, |_, number| number == own.target.unwrap_or(own.port))
            }
            (None, Some(address)) => Found::Endpoints(vec![EndpointSpec::Ip((address, port).into())]),
            (None, None) => Found::Unknown,
        }
    }

    /// Whether nobody was told of this port yet; from now on, somebody was.
    pub(super) fn tell_once(&self, namespace: &str, name: &str, port: u16) -> bool {
        let key = (namespace.to_owned(), name.to_owned(), port);
        self.told.borrow_mut().insert(key)
    }

    pub(super) fn check_used(&self, report: &mut Report) {
        self.map.check_used(report);
    }
}

/// The endpoints of the slices' port that is meant: unknown, if no slice has it.
fn endpoints(slices: &[Slice], mut is_meant: impl FnMut(&str, u16) -> bool) -> Found {
    let mut found: Option<Vec<EndpointSpec>> = None;
    for slice in slices {
        let Some((_, port)) = slice.ports.iter().find(|(name, port)| is_meant(name, *port)) else {
            continue;
        };
        let list = found.get_or_insert_default();
        for address in &slice.addresses {
            let endpoint = match address {
                Address::Ip(ip) => EndpointSpec::Ip(SocketAddr::new(*ip, *port)),
                Address::Name(name) => EndpointSpec::Fqdn {
                    hostname: name.clone(),
                    port: *port,
                },
            };
            // The same endpoint may be in two slices (Kubernetes says so of EndpointSlices).
            if !list.contains(&endpoint) {
                list.push(endpoint);
            }
        }
    }
    found.map_or(Found::Unknown, Found::Endpoints)
}

fn is_tcp(port: &View<'_>) -> bool {
    port.text("protocol").unwrap_or("TCP") == "TCP"
}

fn service(resource: &Resource<'_>) -> Service {
    let Some(spec) = resource.spec else {
        return Service {
            ports: Vec::new(),
            address: None,
        };
    };
    let port = |view: View<'_>| {
        let number = |node: &crate::node::Node| match node.value {
            Value::Int(number) => u16::try_from(number).ok(),
            _ => None,
        };
        Some(Port {
            name: view.text("name").unwrap_or_default().to_owned(),
            port: view.int("port")?,
            target: view.node("targetPort").and_then(number),
        })
    };
    let ports = spec.objects("ports").into_iter().filter(is_tcp);
    // A headless Service says `None`.
    let address = spec.text("clusterIP").and_then(|text| text.parse().ok());
    Service {
        ports: ports.filter_map(port).collect(),
        address,
    }
}

fn slice(root: View<'_>) -> Slice {
    let names = root.text("addressType") == Some("FQDN");
    let is_ready = |endpoint: &View<'_>| {
        let conditions = endpoint.object("conditions");
        conditions.and_then(|view| view.bool("ready")).unwrap_or(true)
    };
    let address = |endpoint: View<'_>| {
        // Kubernetes: consumers use the first of them.
        let text = endpoint.texts("addresses").into_iter().next()?.to_lowercase();
        if names {
            Format::DnsName.check(&text).ok().map(|()| Address::Name(text))
        } else {
            text.parse().ok().map(Address::Ip)
        }
    };
    let ports = root.objects("ports").into_iter().filter(is_tcp);
    let port = |view: View<'_>| {
        Some((
            view.text("name").unwrap_or_default().to_owned(),
            view.int("port")?,
        ))
    };
    let ready = root.objects("endpoints").into_iter().filter(is_ready);
    Slice {
        ports: ports.filter_map(port).collect(),
        addresses: ready.filter_map(address).collect(),
    }
}
