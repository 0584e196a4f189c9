//! BackendTLSPolicies: which endpoints speak TLS, and whose certificates are believed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::ReadOptions;
use crate::certificate::{self, Complaint};
use crate::mistake::{Code, Report};
use crate::model::{Authorities, EndpointTls};
use crate::node::Spot;
use crate::shape::{ENVOY_GROUP, OWN_GROUP, ResourceKind};

use super::resource::{Resource, Resources};
use super::view::View;

/// How endpoints are spoken to, by what a policy names.
#[derive(Debug, Default)]
pub(super) struct BackendTls {
    by_target: BTreeMap<Target, (Arc<EndpointTls>, Spot)>,
}

/// Kind, namespace and name.
type Target = (ResourceKind, String, String);

impl BackendTls {
    pub(super) fn resolve(resources: &Resources<'_>, options: &ReadOptions, report: &mut Report) -> Self {
        let mut all = Self::default();
        for policy in resources.of(ResourceKind::BackendTlsPolicy) {
            let Some(spec) = policy.spec else { continue };
            let tls = spec
                .object("validation")
                .and_then(|view| validation(view, policy, resources, options, report))
                .map(Arc::new);
            for view in spec.objects("targetRefs") {
                let Some((target, spot)) = target(view, policy, resources, report) else {
                    continue;
                };
                if let Some((_, first)) = all.by_target.get(&target) {
                    report
                        .error(
                            Code::PolicyConflict,
                            spot,
                            format!(
                                "another BackendTLSPolicy has the same target, `{}/{}`",
                                target.1, target.2
                            ),
                        )
                        .also(*first, "here")
                        .help("policies are not merged: join the two");
                } else if let Some(tls) = &tls {
                    all.by_target.insert(target, (tls.clone(), spot));
                }
            }
        }
        all
    }

    /// How the endpoints of a Backend, or of a Service's port (`name:port`), are spoken to, and where that is said;
    /// `None` is in plain text.
    pub(super) fn of(&self, (namespace, name): (&str, &str)) -> Option<(&Arc<EndpointTls>, Spot)> {
        let target = match name.split_once(':') {
            Some((service, _)) => (ResourceKind::Service, namespace.to_owned(), service.to_owned()),
            None => (ResourceKind::Backend, namespace.to_owned(), name.to_owned()),
        };
        self.by_target.get(&target).map(|(tls, spot)| (tls, *spot))
    }
}

/// What a targetRef names and where. A Service need not be in these files.
fn target(
    view: View<'_>,
    policy: &Resource<'_>,
    resources: &Resources<'_>,
    report: &mut Report,
) -> Option<(Target, Spot)> {
    let (kind, name) = (view.word("kind")?, view.word("name")?);
    let (kind_of, groups): (_, &[&str]) = match kind.text {
        "Backend" => (ResourceKind::Backend, &[OWN_GROUP, ENVOY_GROUP]),
        _ => (ResourceKind::Service, &["", "core"]),
    };
    if let Some(group) = view.word("group").filter(|group| !groups.contains(&group.text)) {
        let message = format!("`{}` has no kind `{}`", group.text, kind.text);
        report
            .error(Code::TargetNotFound, group.spot, message)
            .help(format!("write `group: {:?}`", groups[0]));
        return None;
    }
    let namespace = &policy.namespace;
    let is_there = resources.find(kind_of, namespace, name.text).is_some();
    if kind_of == ResourceKind::Backend && !is_there {
        if report.complete(kind_of) {
            let help = resources.instead(kind_of, namespace, name.text, report);
            let message = format!("there is no Backend `{namespace}/{}`", name.text);
            report.error(Code::TargetNotFound, name.spot, message).help(help);
        }
        return None;
    }
    Some(((kind_of, namespace.clone(), name.text.to_owned()), name.spot))
}

fn validation(
    view: View<'_>,
    policy: &Resource<'_>,
    resources: &Resources<'_>,
    options: &ReadOptions,
    report: &mut Report,
) -> Option<EndpointTls> {
    let system = view.text("wellKnownCACertificates").is_some();
    let given = view.has("caCertificateRefs") || view.has("caCertificateFiles");
    if system == given && !view.has_strangers() {
        let message = if system {
            "`wellKnownCACertificates` and certificates of one's own exclude each other"
        } else {
            "this policy does not say whose certificates are believed"
        };
        report.error(Code::Exclusive, view.spot(), message).help(
            "write `caCertificateFiles` or `caCertificateRefs` for authorities of your own, or `wellKnownCACertificates: \
             System`",
        );
    }
    let authorities = if system {
        Authorities::System
    } else {
        Authorities::Given(authorities(view, policy, resources, options, report)?)
    };
    let names = view.objects("subjectAltNames");
    let names = names
        .iter()
        .filter_map(|name| name.text("hostname").map(str::to_owned));
    Some(EndpointTls {
        hostname: view.text("hostname")?.to_owned(),
        names: names.collect(),
        authorities,
    })
}

/// The certificates that a policy names; `None` if one cannot be read, which is noted.
fn authorities(
    view: View<'_>,
    policy: &Resource<'_>,
    resources: &Resources<'_>,
    options: &ReadOptions,
    report: &mut Report,
) -> Option<Vec<CertificateDer<'static>>> {
    let (mut all, mut well) = (Vec::new(), true);
    let mut add = |text: Option<(Vec<u8>, String, Spot)>, report: &mut Report| {
        let read = text.and_then(|(text, name, spot)| {
            let mut complaints = Vec::new();
            let read = certificate::read_authorities(&text, &name, options.now, &mut complaints);
            for Complaint {
                code, message, help, ..
            } in complaints
            {
                report.error(code, spot, message).help(help);
            }
            read
        });
        match read {
            Some(certificates) => all.extend(certificates),
            None => well = false,
        }
    };
    for one in view.objects("caCertificateRefs") {
        let text = config_map(one, policy, resources, report);
        add(text, report);
    }
    for path in view.words("caCertificateFiles") {
        let text = match options.files.read(Path::new(path.text)) {
            Ok(text) => Some((text, path.text.to_owned(), path.spot)),
            Err(why) => {
                report
                    .error(Code::UnreadableFile, path.spot, why.what)
                    .help(why.next);
                None
            }
        };
        add(text, report);
    }
    (well && !all.is_empty()).then_some(all)
}

fn config_map(
    view: View<'_>,
    policy: &Resource<'_>,
    resources: &Resources<'_>,
    report: &mut Report,
) -> Option<(Vec<u8>, String, Spot)> {
    let name = view.word("name")?;
    let namespace = &policy.namespace;
    let Some(found) = resources.find(ResourceKind::ConfigMap, namespace, name.text) else {
        if report.complete(ResourceKind::ConfigMap) {
            let help = resources.instead(ResourceKind::ConfigMap, namespace, name.text, report);
            let message = format!("there is no ConfigMap `{namespace}/{}`", name.text);
            report.error(Code::SecretNotFound, name.spot, message).help(help);
        }
        return None;
    };
    let full_name = found.full_name();
    let text = found.root.and_then(|root| root.labels("data").remove("ca.crt"));
    let Some(text) = text else {
        report
            .error(
                Code::Missing,
                name.spot,
                format!("the ConfigMap `{full_name}` has no `ca.crt`"),
            )
            .also(found.spot, "this ConfigMap")
            .help("`data` has `ca.crt`, the authorities' certificates in PEM");
        return None;
    };
    Some((
        text.into_bytes(),
        format!("`ca.crt` of ConfigMap `{full_name}`"),
        name.spot,
    ))
}
