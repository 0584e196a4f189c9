//! Where an HTTPRoute attaches: the listeners that its parentRefs name and that accept it.

use std::collections::BTreeSet;

use policy::route::{ListenerId, hostnames_intersect};

use crate::mistake::{Code, Report};
use crate::node::Spot;
use crate::shape::check::listed;
use crate::shape::{APOXY_GROUP, GATEWAY_GROUP, ResourceKind};
use crate::suggest::nearest;

use super::World;
use super::gateway::{Allows, Gateway, Gateways, Section};
use super::resource::Resource;
use super::view::View;

/// A listener that a route is attached to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attached<'w> {
    pub(super) gateway: &'w Gateway,
    pub(super) listener: ListenerId,
}

/// Every listener that the route is attached to, each once.
pub(super) fn attach<'w>(
    resource: &Resource<'_>,
    spec: View<'_>,
    hostnames: &[String],
    world: &World<'w, '_>,
    report: &mut Report,
) -> Vec<Attached<'w>> {
    let mut found = Vec::new();
    if spec.has("parentRefs") {
        for parent in spec.objects("parentRefs") {
            found.extend(by_reference(parent, resource, hostnames, world, report));
        }
    } else if let Some(gateway) = world.gateways.only() {
        found.extend(accepting(
            (world.gateways, gateway),
            gateway.sections.iter().collect(),
            resource,
            hostnames,
            resource.spot,
            report,
        ));
    } else if world.gateways.count() > 1 {
        let names: Vec<String> = world
            .resources
            .of(ResourceKind::Gateway)
            .map(Resource::full_name)
            .collect();
        report
            .error(
                Code::NoParent,
                resource.spot,
                "this route does not say which Gateway it belongs to",
            )
            .help(format!(
                "add `parentRefs:` with the `name` of one: {}",
                listed(names.iter().map(String::as_str))
            ));
    }
    let mut seen = BTreeSet::new();
    found.retain(|attached| seen.insert(attached.listener));
    found
}

fn by_reference<'w>(
    parent: View<'_>,
    resource: &Resource<'_>,
    hostnames: &[String],
    world: &World<'w, '_>,
    report: &mut Report,
) -> Vec<Attached<'w>> {
    let kind = parent.text("kind").unwrap_or("Gateway");
    let Some(name) = parent.word("name").filter(|_| kind == "Gateway") else {
        return Vec::new();
    };
    if let Some(group) = parent
        .word("group")
        .filter(|group| ![GATEWAY_GROUP, APOXY_GROUP].contains(&group.text))
    {
        report
            .error(
                Code::GatewayNotFound,
                group.spot,
                format!("`{}` has no kind `Gateway`", group.text),
            )
            .help(format!("write `group: {GATEWAY_GROUP}`"));
        return Vec::new();
    }
    let namespace = parent.text("namespace").unwrap_or(&resource.namespace);
    let Some(gateway) = world.gateways.find(namespace, name.text) else {
        if report.complete(ResourceKind::Gateway) {
            let resources = world.resources;
            let help = resources.instead(ResourceKind::Gateway, namespace, name.text, report);
            let message = format!("there is no Gateway `{namespace}/{}`", name.text);
            report.error(Code::GatewayNotFound, name.spot, message).help(help);
        }
        return Vec::new();
    };
    let sections = named(parent, gateway, report);
    if sections.is_empty() {
        return Vec::new();
    }
    accepting(
        (world.gateways, gateway),
        sections,
        resource,
        hostnames,
        name.spot,
        report,
    )
}

/// The listeners that a parentRef names.
fn named<'w>(parent: View<'_>, gateway: &'w Gateway, report: &mut Report) -> Vec<&'w Section> {
    let mut sections: Vec<&Section> = gateway.sections.iter().collect();
    if let Some(section) = parent.word("sectionName") {
        sections.retain(|candidate| candidate.name == section.text);
        if sections.is_empty() {
            let names = || gateway.sections.iter().map(|section| section.name.as_str());
            let help = match nearest(section.text, names()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("its listeners: {}", listed(names())),
            };
            let message = format!("Gateway `{}` has no listener `{}`", gateway.name, section.text);
            report
                .error(Code::GatewayNotFound, section.spot, message)
                .help(help);
            return sections;
        }
    }
    if let Some(port) = parent.int::<u16>("port") {
        let ports: BTreeSet<String> = sections.iter().map(|section| section.port.to_string()).collect();
        sections.retain(|section| section.port == port);
        if sections.is_empty() {
            report
                .error(
                    Code::GatewayNotFound,
                    parent.value_spot("port"),
                    format!("Gateway `{}` has no such listener on port {port}", gateway.name),
                )
                .help(format!("use {}", listed(ports.iter().map(String::as_str))));
        }
    }
    sections
}

/// Those of the listeners that accept the route; a mistake if none does.
fn accepting<'w>(
    (gateways, gateway): (&Gateways, &'w Gateway),
    sections: Vec<&'w Section>,
    resource: &Resource<'_>,
    hostnames: &[String],
    spot: Spot,
    report: &mut Report,
) -> Vec<Attached<'w>> {
    let allowed: Vec<&'w Section> = sections
        .iter()
        .copied()
        .filter(|section| gateways.allow(gateway, section, &resource.namespace))
        .collect();
    let fits = |section: &&&Section| {
        let host = section.hostname.as_deref();
        hostnames.is_empty() || hostnames.iter().any(|name| hostnames_intersect(host, Some(name)))
    };
    let fitting: Vec<&Section> = allowed.iter().filter(fits).copied().collect();
    let names = |sections: &[&Section]| listed(sections.iter().map(|section| section.name.as_str()));
    if allowed.is_empty() && !sections.is_empty() {
        let message = format!(
            "Gateway `{}` takes no HTTPRoute of namespace `{}`",
            gateway.name, resource.namespace
        );
        let by_label = sections
            .iter()
            .any(|section| matches!(section.allows, Allows::Selected(_)));
        let help = if by_label {
            "give the namespace the labels that the listener's `selector` asks for, by a resource of kind Namespace"
                .to_owned()
        } else {
            format!(
                "set `allowedRoutes.namespaces.from: All` on the listener {}",
                names(&sections)
            )
        };
        report.error(Code::NotAccepted, spot, message).help(help);
    } else if fitting.is_empty() && !allowed.is_empty() {
        let hostname = |section: &&'w Section| section.hostname.as_deref();
        let hosts: BTreeSet<&str> = allowed.iter().filter_map(hostname).collect();
        report
            .error(
                Code::NotAccepted,
                spot,
                format!(
                    "no listener of Gateway `{}` has a hostname of this route",
                    gateway.name
                ),
            )
            .help(format!("the listeners take {}", listed(hosts)));
    }
    let ids = |section: &'w Section| {
        section.ids.iter().map(move |id| Attached {
            gateway,
            listener: *id,
        })
    };
    fitting.into_iter().flat_map(ids).collect()
}
