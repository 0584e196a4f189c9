//! ClientTrafficPolicy: the downstream side.

use crate::mistake::{Code, Report};
use crate::model::Downstream;
use crate::shape::{APOXY_GROUP, GATEWAY_GROUP, ResourceKind};

use super::resource::{Resource, Resources};
use super::telemetry::only;
use super::traffic_policy::targets;
use super::view::View;

pub(super) fn resolve(resources: &Resources<'_>, report: &mut Report) -> Downstream {
    let Some(resource) = only(resources, ResourceKind::ClientTrafficPolicy, report) else {
        return Downstream::default();
    };
    let Some(spec) = resource.spec else {
        return Downstream::default();
    };
    check_targets(resource, spec, resources, report);
    downstream(spec, report)
}

fn check_targets(resource: &Resource<'_>, spec: View<'_>, resources: &Resources<'_>, report: &mut Report) {
    let targets = targets(spec, report);
    for target in &targets {
        let Some(name) = target.word("name") else { continue };
        let group = target.text("group").unwrap_or(GATEWAY_GROUP);
        if group != GATEWAY_GROUP && group != APOXY_GROUP {
            report
                .error(
                    Code::TargetNotFound,
                    target.value_spot("group"),
                    format!("`{group}` has no kind `Gateway`"),
                )
                .help(format!("write `group: {GATEWAY_GROUP}`"));
        } else if report.complete(ResourceKind::Gateway)
            && resources
                .find(ResourceKind::Gateway, &resource.namespace, name.text)
                .is_none()
        {
            let help = resources.instead(ResourceKind::Gateway, &resource.namespace, name.text, report);
            report
                .error(
                    Code::TargetNotFound,
                    name.spot,
                    format!("there is no Gateway `{}/{}`", resource.namespace, name.text),
                )
                .help(help);
        }
    }
    let gateways = resources.of(ResourceKind::Gateway).count();
    if gateways > targets.len() && !targets.is_empty() {
        report
            .error(
                Code::Widened,
                resource.spot,
                format!("this policy applies to all {gateways} Gateways"),
            )
            .help("name every Gateway in `targetRefs`");
    }
}

fn downstream(spec: View<'_>, report: &mut Report) -> Downstream {
    let mut downstream = Downstream::default();
    let forwarded = spec
        .object("clientIPDetection")
        .and_then(|view| view.object("xForwardedFor"));
    if let Some(hops) = forwarded.and_then(|view| view.int("numTrustedHops")) {
        downstream.trusted_hops = hops;
    }
    if let Some(http) = spec.object("timeout").and_then(|view| view.object("http")) {
        downstream.idle_timeout = http.duration("idleTimeout").unwrap_or(downstream.idle_timeout);
        downstream.head_timeout = http
            .duration("requestReceivedTimeout")
            .unwrap_or(downstream.head_timeout);
        downstream.body_timeout = http
            .duration("streamIdleTimeout")
            .unwrap_or(downstream.body_timeout);
    }
    if let Some(headers) = spec.object("headers") {
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
    let connections = spec
        .object("connection")
        .and_then(|view| view.object("connectionLimit"));
    downstream.max_connections = connections.and_then(|view| view.int("value"));
    downstream
}
