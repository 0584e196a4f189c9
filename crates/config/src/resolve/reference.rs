//! References from routes to Backends, and the grants that those into other namespaces need.

use std::collections::BTreeSet;

use crate::mistake::{Code, Report};
use crate::shape::{APOXY_GROUP, ENVOY_GROUP, GATEWAY_GROUP, OWN_GROUP, ResourceKind};

use super::World;
use super::resource::{Resource, Resources};
use super::view::{View, Word};

/// Who may refer to Backends of which namespace.
#[derive(Debug)]
pub(super) struct Grants {
    /// The namespace of the route, that of the Backend, and its name; without, all of the namespace.
    allowed: BTreeSet<(String, String, Option<String>)>,
}

impl Grants {
    pub(super) fn gather(resources: &Resources<'_>) -> Self {
        let mut allowed = BTreeSet::new();
        for resource in resources.of(ResourceKind::ReferenceGrant) {
            let Some(spec) = resource.spec else { continue };
            let is = |view: &View<'_>, kind: &str, groups: [&str; 2]| {
                view.text("kind") == Some(kind)
                    && view.text("group").is_some_and(|group| groups.contains(&group))
            };
            let from = spec.objects("from");
            let from = from
                .iter()
                .filter(|from| is(from, "HTTPRoute", [GATEWAY_GROUP, APOXY_GROUP]));
            for from_namespace in from.filter_map(|from| from.text("namespace")) {
                let to = spec.objects("to");
                let to = to.iter().filter(|to| is(to, "Backend", [OWN_GROUP, ENVOY_GROUP]));
                allowed.extend(to.map(|to| {
                    let name = to.text("name").map(str::to_owned);
                    (from_namespace.to_owned(), resource.namespace.clone(), name)
                }));
            }
        }
        Self { allowed }
    }

    fn allow(&self, from_namespace: &str, to_namespace: &str, to_name: &str) -> bool {
        let key = |name| (from_namespace.to_owned(), to_namespace.to_owned(), name);
        self.allowed.contains(&key(None)) || self.allowed.contains(&key(Some(to_name.to_owned())))
    }
}

/// Namespace and name of the Backend that a backendRef names; `None` (and a mistake) if it is not
/// one that exists and may be referred to.
pub(super) fn backend(
    view: View<'_>,
    route: &Resource<'_>,
    world: &World<'_, '_>,
    report: &mut Report,
) -> Option<(String, String)> {
    let name = view.word("name")?;
    let namespace = view.text("namespace").unwrap_or(&route.namespace);
    if ["kind", "group", "namespace"]
        .iter()
        .any(|field| view.has(field) && view.text(field).is_none())
    {
        return None;
    }
    let found = world
        .resources
        .find(ResourceKind::Backend, namespace, name.text)
        .is_some();
    match wanted(view) {
        Wanted::Backend => {}
        Wanted::Service => {
            no_service(view, name, namespace, found, report);
            return None;
        }
        Wanted::Unknown(group) => {
            report
                .error(
                    Code::UnknownKind,
                    group.spot,
                    format!("`{}` has no such kind of backend", group.text),
                )
                .help(format!("write `group: {OWN_GROUP}` and `kind: Backend`"));
            return None;
        }
    }
    if !found {
        if report.complete(ResourceKind::Backend) {
            let message = format!("there is no Backend `{namespace}/{}`", name.text);
            let help = world
                .resources
                .instead(ResourceKind::Backend, namespace, name.text, report);
            report.error(Code::BackendNotFound, name.spot, message).help(help);
        }
        return None;
    }
    if view.has("port") {
        report
            .error(
                Code::Ignored,
                view.key_spot("port"),
                "`port` has no effect on a Backend",
            )
            .help("its endpoints have their own; remove it");
    }
    if !granted(view, (&route.namespace, namespace), name, world, report) {
        return None;
    }
    Some((namespace.to_owned(), name.text.to_owned()))
}

/// Whether a route may refer from one namespace to a Backend of another; a mistake if not.
fn granted(
    view: View<'_>,
    (from, to): (&str, &str),
    name: Word<'_>,
    world: &World<'_, '_>,
    report: &mut Report,
) -> bool {
    let granted = from == to || world.grants.allow(from, to, name.text);
    if !granted && report.complete(ResourceKind::ReferenceGrant) {
        report
            .error(
                Code::NotGranted,
                view.value_spot("namespace"),
                format!("`{to}` does not allow this reference"),
            )
            .help(grant_example(from, to));
    }
    granted
}

/// What a backendRef's group, kind and port say that it names.
enum Wanted<'a> {
    /// Said so, or nothing said.
    Backend,
    Service,
    Unknown(Word<'a>),
}

fn wanted(view: View<'_>) -> Wanted<'_> {
    let group = view.word("group").filter(|group| !group.text.is_empty());
    let ours = group.is_none_or(|group| group.text == OWN_GROUP || group.text == ENVOY_GROUP);
    match (view.text("kind"), group) {
        (Some("Backend"), _) | (None, Some(_)) if ours => Wanted::Backend,
        (Some("Backend"), Some(group)) | (_, Some(group)) => Wanted::Unknown(group),
        (None, None) if !view.has("port") => Wanted::Backend,
        _ => Wanted::Service,
    }
}

/// A Service has no addresses in a file, and to guess a DNS name would fail at the first request.
fn no_service(view: View<'_>, name: Word<'_>, namespace: &str, found: bool, report: &mut Report) {
    let at = if view.has("kind") {
        view.value_spot("kind")
    } else {
        view.key_spot("port")
    };
    let port: u16 = view.int("port").unwrap_or(80);
    let name = name.text;
    let backend = if found {
        String::new()
    } else {
        format!(
            "\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata:\n  name: {name}\n  \
             namespace: {namespace}\nspec:\n  endpoints:\n  - fqdn:\n      hostname: {name}.{namespace}.svc\n      port: {port}"
        )
    };
    report
        .error(Code::ServiceInFile, at, format!("this names the Kubernetes Service `{namespace}/{name}`, which a file cannot look up"))
        .help(format!(
            "refer to a Backend instead:\nbackendRefs:\n- group: evenkeel.dev\n  kind: Backend\n  name: {name}{backend}"
        ));
}

fn grant_example(from: &str, to: &str) -> String {
    format!(
        "add a ReferenceGrant there:\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata:\n  \
         name: from-{from}\n  namespace: {to}\nspec:\n  from:\n  - group: {GATEWAY_GROUP}\n    kind: HTTPRoute\n    \
         namespace: {from}\n  to:\n  - group: {OWN_GROUP}\n    kind: Backend"
    )
}
