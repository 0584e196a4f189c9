//! Gateways: listeners and their addresses, and which of them a route may attach to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use policy::route::ListenerId;

use crate::mistake::{Code, Report};
use crate::model::{Downstream, Listener, ListenerTls};
use crate::node::Spot;
use crate::shape::{APOXY_GROUP, GATEWAY_GROUP, ResourceKind};

use super::resource::{Resource, Resources};
use super::selector::{Namespaces, Selector};
use super::view::View;

/// All Gateways, and their listeners in the model's order.
#[derive(Debug)]
pub(super) struct Gateways {
    list: Vec<Gateway>,
    listeners: Vec<Listener>,
    namespaces: Namespaces,
}

/// One Gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) sections: Vec<Section>,
}

/// One listener as written; bound to several addresses, it is several of the model's.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) hostname: Option<String>,
    /// Whether it is an HTTPS listener.
    pub(super) is_secure: bool,
    pub(super) allows: Allows,
    pub(super) ids: Vec<ListenerId>,
    pub(super) spot: Spot,
}

/// Listeners of one address that were given different settings.
#[derive(Debug)]
pub(super) struct Unlike<S> {
    pub(super) address: SocketAddr,
    /// `gateway/listener` of all of them.
    pub(super) names: Vec<String>,
    /// One that differs from the first.
    pub(super) spot: Spot,
    /// What each was given.
    pub(super) settled: Vec<Option<S>>,
}

/// The routes that may attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allows {
    SameNamespace,
    Every,
    /// Those of namespaces with these labels.
    Selected(Selector),
    Nothing,
}

impl Gateways {
    pub(super) fn resolve(resources: &Resources<'_>, report: &mut Report) -> Self {
        let mut all = Self {
            list: Vec::new(),
            listeners: Vec::new(),
            namespaces: super::selector::namespaces(resources),
        };
        for resource in resources.of(ResourceKind::Gateway) {
            all.add(resource, report);
        }
        if all.list.is_empty() && report.complete(ResourceKind::Gateway) {
            report
                .error(
                    Code::NoGateway,
                    Spot::default(),
                    "there is no Gateway, so nothing would listen",
                )
                .help(GATEWAY_EXAMPLE);
        }
        all.check_clashes(report);
        all
    }

    pub(super) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Whether a listener takes routes of a namespace.
    pub(super) fn allow(&self, gateway: &Gateway, section: &Section, namespace: &str) -> bool {
        match &section.allows {
            Allows::Every => true,
            Allows::SameNamespace => gateway.namespace == namespace,
            Allows::Selected(selector) => selector.holds(namespace, &self.namespaces),
            Allows::Nothing => false,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Gateway> {
        self.list
            .iter()
            .find(|gateway| gateway.namespace == namespace && gateway.name == name)
    }

    /// The only Gateway, if there is exactly one.
    pub(super) fn only(&self) -> Option<&Gateway> {
        match self.list.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    fn add(&mut self, resource: &Resource<'_>, report: &mut Report) {
        let mut gateway = Gateway {
            namespace: resource.namespace.clone(),
            name: resource.name.clone(),
            sections: Vec::new(),
        };
        let addresses = resource
            .spec
            .map(|spec| addresses(spec, report))
            .unwrap_or_default();
        for view in resource
            .spec
            .map(|spec| spec.objects("listeners"))
            .unwrap_or_default()
        {
            let mut section = section(view, report);
            if let Some(first) = gateway
                .sections
                .iter()
                .find(|s| s.name == section.name && !s.name.is_empty())
            {
                report
                    .error(
                        Code::DuplicateName,
                        section.spot,
                        format!("two listeners are called `{}`", section.name),
                    )
                    .also(first.spot, "the first one")
                    .help("rename one of them: routes refer to listeners by name");
            }
            for address in &addresses {
                section.ids.push(ListenerId(
                    u32::try_from(self.listeners.len()).unwrap_or(u32::MAX),
                ));
                self.listeners.push(Listener {
                    name: listener_name(&gateway, &section, &addresses, *address).into(),
                    address: SocketAddr::new(*address, section.port),
                    hostname: section.hostname.clone(),
                    downstream: Arc::default(),
                    tls: None,
                });
            }
            gateway.sections.push(section);
        }
        self.list.push(gateway);
    }

    /// Gives a listener, the `section`th of the `gateway`th Gateway as written, its certificates.
    pub(super) fn secure(&mut self, (gateway, section): (usize, usize), tls: &Arc<ListenerTls>) {
        let section = self
            .list
            .get(gateway)
            .and_then(|gateway| gateway.sections.get(section));
        for id in section.into_iter().flat_map(|section| &section.ids) {
            self.listeners[id.0 as usize].tls = Some(tls.clone());
        }
    }

    /// Gives each listener what `of` says of it, and answers the addresses whose listeners differ.
    pub(super) fn settle<S>(
        &mut self,
        of: impl Fn(&Gateway, &str) -> Option<S>,
        settings: impl Fn(&S) -> Arc<Downstream>,
    ) -> Vec<Unlike<S>> {
        let mut by_address: BTreeMap<SocketAddr, Vec<(String, Spot, Option<S>)>> = BTreeMap::new();
        for gateway in &self.list {
            for section in &gateway.sections {
                for id in &section.ids {
                    let listener = &mut self.listeners[id.0 as usize];
                    let found = of(gateway, &section.name);
                    listener.downstream = found.as_ref().map(&settings).unwrap_or_default();
                    let known = by_address.entry(listener.address).or_default();
                    known.push((format!("{}/{}", gateway.name, section.name), section.spot, found));
                }
            }
        }
        let value = |found: &Option<S>| found.as_ref().map(&settings).unwrap_or_default();
        let unlike = by_address.into_iter().filter_map(|(address, listeners)| {
            // An ill-formed port has been noted.
            let (first, _) = listeners.split_first().filter(|_| address.port() > 0)?;
            let first_value = value(&first.2);
            let (_, spot, _) = listeners.iter().find(|other| value(&other.2) != first_value)?;
            Some(Unlike {
                address,
                spot: *spot,
                names: listeners.iter().map(|(name, ..)| name.clone()).collect(),
                settled: listeners.into_iter().map(|(.., found)| found).collect(),
            })
        });
        unlike.collect()
    }

    /// Two listeners that nothing tells apart would take each other's requests.
    fn check_clashes(&self, report: &mut Report) {
        self.check_protocols(report);
        let mut seen: std::collections::BTreeMap<_, &Section> = std::collections::BTreeMap::new();
        for section in self
            .list
            .iter()
            .flat_map(|gateway| &gateway.sections)
            .filter(|s| s.port > 0)
        {
            for id in &section.ids {
                let listener = &self.listeners[id.0 as usize];
                let Some(first) = seen.insert((listener.address, &listener.hostname), section) else {
                    continue;
                };
                seen.insert((listener.address, &listener.hostname), first);
                let host = listener.hostname.as_deref().unwrap_or("every host");
                let message = format!("two listeners take {host} on {}", listener.address);
                report
                    .error(Code::ListenerClash, section.spot, message)
                    .also(first.spot, "the first one")
                    .help("give one of them another `port` or `hostname`");
                break;
            }
        }
    }

    /// A connection is there before its first byte tells what it speaks, so an address speaks one protocol.
    fn check_protocols(&self, report: &mut Report) {
        let mut seen: BTreeMap<SocketAddr, &Section> = BTreeMap::new();
        let sections = self.list.iter().flat_map(|gateway| &gateway.sections);
        for section in sections.filter(|section| section.port > 0) {
            for id in &section.ids {
                let address = self.listeners[id.0 as usize].address;
                let first = *seen.entry(address).or_insert(section);
                if first.is_secure != section.is_secure {
                    let message = format!("HTTP and HTTPS listeners share {address}");
                    report
                        .error(Code::ListenerClash, section.spot, message)
                        .also(first.spot, "the first one")
                        .help("give one of them another `port`: 80 for HTTP and 443 for HTTPS are usual");
                    break;
                }
            }
        }
    }
}

/// Shown where no Gateway was written.
const GATEWAY_EXAMPLE: &str = "add one:
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gateway
spec:
  listeners:
  - name: http
    port: 8080
    protocol: HTTP";

/// `namespace/gateway/listener`, and the address behind it where there are several.
fn listener_name(gateway: &Gateway, section: &Section, addresses: &[IpAddr], address: IpAddr) -> String {
    let name = format!("{}/{}/{}", gateway.namespace, gateway.name, section.name);
    if addresses.len() == 1 {
        name
    } else {
        format!("{name}@{address}")
    }
}

fn addresses(spec: View<'_>, report: &mut Report) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for view in spec.objects("addresses") {
        let Some(address) = view.text("value").and_then(|text| text.parse().ok()) else {
            continue;
        };
        if addresses.contains(&address) {
            report
                .error(
                    Code::DuplicateName,
                    view.value_spot("value"),
                    format!("{address} is there twice"),
                )
                .help("remove one of them");
        } else {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::UNSPECIFIED.into());
    }
    addresses
}

fn section(view: View<'_>, report: &mut Report) -> Section {
    Section {
        name: view.text("name").unwrap_or_default().to_owned(),
        // An ill-formed port has been noted; 0 keeps it out of every comparison.
        port: view.int("port").unwrap_or(0),
        hostname: view.text("hostname").map(str::to_owned),
        is_secure: view.text("protocol") == Some("HTTPS"),
        allows: allows(view, report),
        ids: Vec::new(),
        spot: view.key_spot("name"),
    }
}

fn allows(view: View<'_>, report: &mut Report) -> Allows {
    let Some(allowed) = view.object("allowedRoutes") else {
        return Allows::SameNamespace;
    };
    let kinds = allowed.objects("kinds");
    let is_http_route = |kind: &View<'_>| {
        let group = kind.text("group").unwrap_or(GATEWAY_GROUP);
        kind.text("kind") == Some("HTTPRoute") && (group == GATEWAY_GROUP || group == APOXY_GROUP)
    };
    if !kinds.is_empty() && !kinds.iter().any(is_http_route) {
        return Allows::Nothing;
    }
    let Some(namespaces) = allowed.object("namespaces") else {
        return Allows::SameNamespace;
    };
    let (from, selector) = (namespaces.text("from"), namespaces.object("selector"));
    match (from, selector) {
        (Some("Selector"), Some(selector)) => Allows::Selected(Selector::of(selector, report)),
        (Some("Selector"), None) => {
            report
                .error(
                    Code::Missing,
                    namespaces.value_spot("from"),
                    "`from: Selector` needs `selector`",
                )
                .help("add `selector:` with `matchLabels` of the namespaces");
            Allows::Nothing
        }
        (None | Some("Same"), _) => Allows::SameNamespace,
        (Some("All"), _) => Allows::Every,
        (Some(_), _) => Allows::Nothing,
    }
}
