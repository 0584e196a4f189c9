//! References from routes to Backends and Services, and the grants that those into other namespaces need.

use std::collections::BTreeSet;

use crate::mistake::{Code, Report};
use crate::shape::check::listed;
use crate::shape::{APOXY_GROUP, ENVOY_GROUP, GATEWAY_GROUP, OWN_GROUP, ResourceKind};

use super::World;
use super::resource::{Resource, Resources};
use super::service::Found;
use super::view::{View, Word};

/// Who may refer to Backends and Services of which namespace.
#[derive(Debug)]
pub(super) struct Grants {
    /// Kind and namespace of who refers; namespace, kind and name of the target; without a name, all of the kind.
    allowed: BTreeSet<(&'static str, String, String, &'static str, Option<String>)>,
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
            let kinds = ["HTTPRoute", "Gateway"];
            let from_kind = |from: &View<'_>| {
                let of_kind = |kind: &&str| is(from, kind, [GATEWAY_GROUP, APOXY_GROUP]);
                kinds.into_iter().find(of_kind)
            };
            let from = spec.objects("from");
            let from = from.iter();
            for (from_kind, from_namespace) in
                from.filter_map(|from| Some((from_kind(from)?, from.text("namespace")?)))
            {
                let to = spec.objects("to");
                let kind = |to: &View<'_>| {
                    let backend = is(to, "Backend", [OWN_GROUP, ENVOY_GROUP]).then_some("Backend");
                    let of_core = |kind| is(to, kind, ["", "core"]).then_some(kind);
                    backend
                        .or_else(|| of_core("Service"))
                        .or_else(|| of_core("Secret"))
                };
                allowed.extend(to.iter().filter_map(|to| {
                    let name = to.text("name").map(str::to_owned);
                    Some((
                        from_kind,
                        from_namespace.to_owned(),
                        resource.namespace.clone(),
                        kind(to)?,
                        name,
                    ))
                }));
            }
        }
        Self { allowed }
    }

    /// Whether a resource of a kind in a namespace may refer to one of another namespace.
    pub(super) fn allow(
        &self,
        (from_kind, from_namespace): (&'static str, &str),
        to_namespace: &str,
        kind: &'static str,
        to_name: &str,
    ) -> bool {
        let key = |name| {
            let (from, to) = (from_namespace.to_owned(), to_namespace.to_owned());
            (from_kind, from, to, kind, name)
        };
        self.allowed.contains(&key(None)) || self.allowed.contains(&key(Some(to_name.to_owned())))
    }
}

/// Namespace and name of the Backend that a backendRef names, or of the Service's port (`name:port`);
/// `None` (and a mistake or warning) if it is not one that exists and may be referred to.
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
    if !matches!(view.text("kind"), None | Some("Backend" | "Service")) {
        return None; // A kind that is not supported yet, which has been noted.
    }
    let found = world
        .resources
        .find(ResourceKind::Backend, namespace, name.text)
        .is_some();
    match wanted(view) {
        Wanted::Backend => {}
        Wanted::Service => {
            let to = (namespace, name);
            if !granted(
                view,
                (&route.namespace, namespace),
                name,
                "Service",
                world,
                report,
            ) {
                return None;
            }
            return service(view, to, found, world, report);
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
    if !granted(
        view,
        (&route.namespace, namespace),
        name,
        "Backend",
        world,
        report,
    ) {
        return None;
    }
    Some((namespace.to_owned(), name.text.to_owned()))
}

/// Whether a route may refer from one namespace to a Backend of another; a mistake if not.
fn granted(
    view: View<'_>,
    (from, to): (&str, &str),
    name: Word<'_>,
    kind: &'static str,
    world: &World<'_, '_>,
    report: &mut Report,
) -> bool {
    let granted = from == to || world.grants.allow(("HTTPRoute", from), to, kind, name.text);
    if !granted && report.complete(ResourceKind::ReferenceGrant) {
        report
            .error(
                Code::NotGranted,
                view.value_spot("namespace"),
                format!("`{to}` does not allow this reference"),
            )
            .help(grant_example(("HTTPRoute", from), to, kind));
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

/// The Service's port that a backendRef names, if it is known where that is.
fn service(
    view: View<'_>,
    (namespace, name): (&str, Word<'_>),
    backend_exists: bool,
    world: &World<'_, '_>,
    report: &mut Report,
) -> Option<(String, String)> {
    let at = if view.has("kind") {
        view.value_spot("kind")
    } else {
        view.key_spot("port")
    };
    let Some(port) = view.int::<u16>("port") else {
        if !view.has("port") {
            report
                .error(Code::Missing, at, "a reference to a Service needs `port`")
                .help("add the `port` of the Service; to name a Backend, write `group: evenkeel.dev` and `kind: Backend`");
        }
        return None;
    };
    let name = name.text;
    match world.services.find(namespace, name, port) {
        Found::Endpoints(_) => return Some((namespace.to_owned(), format!("{name}:{port}"))),
        Found::NoPort(ports) => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            report
                .error(
                    Code::ServiceInFile,
                    view.value_spot("port"),
                    format!("the Service `{namespace}/{name}` has no port {port}"),
                )
                .help(format!("its ports: {}", listed(ports.iter().map(String::as_str))));
        }
        Found::Absent if backend_exists => {
            report
                .error(
                    Code::ServiceInFile,
                    at,
                    format!("this names a Service `{namespace}/{name}`, and there is only a Backend of that name"),
                )
                .help(format!(
                    "to refer to the Backend:\nbackendRefs:\n- group: {OWN_GROUP}\n  kind: Backend\n  name: {name}"
                ));
        }
        found @ (Found::Unknown | Found::Absent) => {
            if world.services.tell_once(namespace, name, port) {
                let what = if found == Found::Absent {
                    "no file says where"
                } else {
                    "no EndpointSlice says where the endpoints of"
                };
                let verb = if found == Found::Absent { "is" } else { "are" };
                let message = format!(
                    "{what} the Service `{namespace}/{name}` {verb}: requests to it are answered with 500"
                );
                report.error(Code::NoEndpoints, at, message).help(format!(
                    "say it by `--backends {name}.{namespace}:{port}=HOST:PORT`, add its EndpointSlices, or refer to \
                     a Backend"
                ));
            }
        }
    }
    None
}

pub(super) fn grant_example((from_kind, from): (&str, &str), to: &str, kind: &str) -> String {
    let group = if kind == "Backend" { OWN_GROUP } else { "\"\"" };
    format!(
        "add a ReferenceGrant there:\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata:\n  \
         name: from-{from}\n  namespace: {to}\nspec:\n  from:\n  - group: {GATEWAY_GROUP}\n    kind: {from_kind}\n    \
         namespace: {from}\n  to:\n  - group: {group}\n    kind: {kind}"
    )
}
