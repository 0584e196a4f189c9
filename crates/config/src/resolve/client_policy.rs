//! ClientTrafficPolicies: the downstream side of each listener.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::mistake::{Code, Report};
use crate::model::{Downstream, EscapedSlashes, PathRules, TlsVersions, Underscores};
use crate::node::Spot;
use crate::shape::check::listed;
use crate::shape::{APOXY_GROUP, GATEWAY_GROUP, ResourceKind};
use crate::suggest::nearest;

use super::gateway::{Gateway, Gateways};
use super::resource::{Resource, Resources};
use super::traffic_policy::targets;
use super::view::{View, Word};

/// Namespace and name of a Gateway, and of one of its listeners, if only that is meant.
type Target = (String, String, Option<String>);

/// A policy as one of its targets sees it.
#[derive(Clone, Debug)]
struct Settled {
    settings: Arc<Downstream>,
    /// Where the target is named.
    spot: Spot,
}

/// Gives every listener its settings: those of the policy that names it by `sectionName`, else those of
/// its Gateway's policy, else the defaults. Policies are not merged.
pub(super) fn resolve(resources: &Resources<'_>, gateways: &mut Gateways, report: &mut Report) {
    let mut settled = BTreeMap::new();
    for resource in resources.of(ResourceKind::ClientTrafficPolicy) {
        let Some(spec) = resource.spec else { continue };
        let settings = Arc::new(downstream(spec, report));
        for view in targets(spec, report) {
            let Some((target, spot)) = target(view, resource, resources, gateways, report) else {
                continue;
            };
            let new = Settled {
                settings: settings.clone(),
                spot,
            };
            if let Some(first) = settled.get(&target) {
                conflict(&target, &new, first, report);
            } else {
                settled.insert(target, new);
            }
        }
    }
    let of = |gateway: &Gateway, section: &str| {
        let target = |section| (gateway.namespace.clone(), gateway.name.clone(), section);
        let own = settled.get(&target(Some(section.to_owned())));
        own.or_else(|| settled.get(&target(None))).cloned()
    };
    let shared = gateways.settle(of, |settled| settled.settings.clone());
    for clash in shared {
        let Some(policy) = clash.settled.iter().flatten().min_by_key(|policy| policy.spot) else {
            continue;
        };
        let message = format!(
            "the listeners {} share {}, so their clients cannot be treated differently",
            listed(clash.names.iter().map(String::as_str)).replace(" or ", " and "),
            clash.address
        );
        report
            .error(Code::SharedAddress, policy.spot, message)
            .also(clash.spot, "one of them")
            .help(
                "a connection is accepted before its first request names a host: give one of the listeners \
                 another `port`, or let the policy target them all",
            );
    }
}

fn conflict(target: &Target, new: &Settled, first: &Settled, report: &mut Report) {
    let (namespace, gateway, section) = target;
    let what = match section {
        Some(section) => format!("listener `{section}` of Gateway `{namespace}/{gateway}`"),
        None => format!("Gateway `{namespace}/{gateway}`"),
    };
    let message = format!("another ClientTrafficPolicy has the same target, {what}");
    report
        .error(Code::PolicyConflict, new.spot, message)
        .also(first.spot, "here")
        .help("policies are not merged: join the two, or name one listener by `sectionName`");
}

/// What a targetRef names and where, if that exists.
fn target(
    view: View<'_>,
    policy: &Resource<'_>,
    resources: &Resources<'_>,
    gateways: &Gateways,
    report: &mut Report,
) -> Option<(Target, Spot)> {
    view.text("kind")?;
    let name = view.word("name")?;
    let namespace = &policy.namespace;
    let group = view.text("group").unwrap_or(GATEWAY_GROUP);
    if group != GATEWAY_GROUP && group != APOXY_GROUP {
        let message = format!("`{group}` has no kind `Gateway`");
        report
            .error(Code::TargetNotFound, view.value_spot("group"), message)
            .help(format!("write `group: {GATEWAY_GROUP}`"));
        return None;
    }
    let Some(gateway) = gateways.find(namespace, name.text) else {
        if report.complete(ResourceKind::Gateway) {
            let help = resources.instead(ResourceKind::Gateway, namespace, name.text, report);
            let message = format!("there is no Gateway `{namespace}/{}`", name.text);
            report.error(Code::TargetNotFound, name.spot, message).help(help);
        }
        return None;
    };
    let section = view.word("sectionName");
    if section.is_none() && view.has("sectionName") {
        return None; // It is ill-formed, which has been noted; the whole Gateway is not meant.
    }
    if let Some(section) = section {
        check_section(gateway, section, report)?;
    }
    let owned = section.map(|section| section.text.to_owned());
    let spot = section.map_or(name.spot, |section| section.spot);
    Some(((namespace.clone(), name.text.to_owned(), owned), spot))
}

fn check_section(gateway: &Gateway, section: Word<'_>, report: &mut Report) -> Option<()> {
    let names = || gateway.sections.iter().map(|section| section.name.as_str());
    if names().any(|name| name == section.text) {
        return Some(());
    }
    let help = match nearest(section.text, names()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("its listeners: {}", listed(names())),
    };
    let message = format!("Gateway `{}` has no listener `{}`", gateway.name, section.text);
    report
        .error(Code::TargetNotFound, section.spot, message)
        .help(help);
    None
}

fn downstream(spec: View<'_>, report: &mut Report) -> Downstream {
    let mut downstream = Downstream::default();
    if let Some(detection) = spec.object("clientIPDetection") {
        trust(detection, &mut downstream, report);
    }
    if let Some(http) = spec.object("timeout").and_then(|view| view.object("http")) {
        downstream.idle_timeout = http.duration("idleTimeout").unwrap_or(downstream.idle_timeout);
        if let Some(span) = http.duration("requestHeadersReceivedTimeout") {
            downstream.head_timeout = if span.is_zero() { Duration::MAX } else { span };
        }
        downstream.request_timeout = http
            .duration("requestReceivedTimeout")
            .filter(|span| !span.is_zero());
        if downstream.request_timeout.is_some() {
            report
                .error(
                    Code::Ignored,
                    http.key_spot("requestReceivedTimeout"),
                    "`requestReceivedTimeout` bounds a request's head only: its body may take longer",
                )
                .help("`streamIdleTimeout` bounds the silence within a body");
        }
        downstream.body_timeout = http
            .duration("streamIdleTimeout")
            .unwrap_or(downstream.body_timeout);
    }
    if let Some(headers) = spec.object("headers") {
        head_limits(headers, &mut downstream, report);
        client_fields(headers, &mut downstream);
    }
    if let Some(path) = spec.object("path") {
        downstream.paths = path_rules(path);
    }
    let connections = spec
        .object("connection")
        .and_then(|view| view.object("connectionLimit"));
    downstream.max_connections = connections.and_then(|view| view.int("value"));
    if let Some(tls) = spec.object("tls") {
        downstream.tls_versions = tls_versions(tls, report);
    }
    downstream
}

fn tls_versions(tls: View<'_>, report: &mut Report) -> TlsVersions {
    match (tls.text("minVersion"), tls.text("maxVersion")) {
        (Some("1.3"), Some("1.2")) => {
            report
                .error(
                    Code::Inconsistent,
                    tls.value_spot("minVersion"),
                    "`minVersion` is newer than `maxVersion`, so no version is left",
                )
                .also(tls.value_spot("maxVersion"), "the other one")
                .help("exchange the two");
            TlsVersions::Both
        }
        (Some("1.3"), _) => TlsVersions::Only13,
        (_, Some("1.2")) => TlsVersions::Only12,
        _ => TlsVersions::Both,
    }
}

/// Whose `X-Forwarded-*` is believed.
fn trust(detection: View<'_>, downstream: &mut Downstream, report: &mut Report) {
    let Some(view) = detection.object("xForwardedFor") else {
        return;
    };
    if view.has("numTrustedHops") && view.has("trustedCIDRs") {
        report
            .error(
                Code::Exclusive,
                view.key_spot("numTrustedHops"),
                "`numTrustedHops` and `trustedCIDRs` exclude each other",
            )
            .also(view.key_spot("trustedCIDRs"), "the other one")
            .help("keep `trustedCIDRs` if you know the addresses of the proxies in front");
        return;
    }
    downstream.trusted_hops = view.int("numTrustedHops").unwrap_or(0);
    let networks = view.words("trustedCIDRs").into_iter();
    downstream.trusted_networks = networks
        .filter_map(|word| super::network::masked_network(word, report))
        .collect();
}

fn head_limits(headers: View<'_>, downstream: &mut Downstream, report: &mut Report) {
    downstream.head_bytes = headers.quantity("maxBytes").unwrap_or(downstream.head_bytes);
    downstream.fields = headers.int("maxFields").unwrap_or(downstream.fields);
    downstream.request_line = headers
        .quantity("maxRequestLineBytes")
        .unwrap_or(downstream.request_line);
    if headers.has("maxRequestLineBytes") && downstream.request_line > downstream.head_bytes {
        report
            .error(
                Code::Inconsistent,
                headers.value_spot("maxRequestLineBytes"),
                "a request line cannot be longer than the head it is in",
            )
            .help("keep `maxRequestLineBytes` within `maxBytes`");
    }
    downstream.request_line = downstream.request_line.min(downstream.head_bytes);
}

/// What becomes of fields that clients should not send.
fn client_fields(headers: View<'_>, downstream: &mut Downstream) {
    downstream.sanitizes = headers.bool("sanitize").unwrap_or(downstream.sanitizes);
    downstream.underscores = match headers.text("withUnderscoresAction") {
        Some("RejectRequest") => Underscores::RejectRequest,
        Some("DropHeader") => Underscores::DropHeader,
        _ => Underscores::Allow,
    };
}

fn path_rules(path: View<'_>) -> PathRules {
    PathRules {
        merge_slashes: !path.bool("disableMergeSlashes").unwrap_or(false),
        escaped_slashes: path.text("escapedSlashesAction").map(|action| match action {
            "RejectRequest" => EscapedSlashes::Reject,
            "UnescapeAndForward" => EscapedSlashes::UnescapeAndForward,
            "UnescapeAndRedirect" => EscapedSlashes::UnescapeAndRedirect,
            _ => EscapedSlashes::Keep,
        }),
    }
}
