//! What a policy applies to.

use crate::mistake::{Code, Report};
use crate::node::Spot;
use crate::resolve::resource::{Resource, Resources};
use crate::resolve::view::{View, Word};
use crate::shape::{APOXY_GROUP, ENVOY_GROUP, GATEWAY_GROUP, OWN_GROUP, ResourceKind};
use crate::suggest::nearest;

/// What a policy applies to, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Gateway(String, String),
    Backend(String, String),
    Route(String, String),
    /// Of this route the rule of this name.
    Rule(String, String, String),
}

/// A target that exists.
#[derive(Debug)]
pub(super) struct Targeted {
    pub(super) target: Target,
    /// Where it is named.
    pub(super) spot: Spot,
}

/// A policy's `targetRef` or `targetRefs`.
pub(in crate::resolve) fn targets<'a>(spec: View<'a>, report: &mut Report) -> Vec<View<'a>> {
    match (spec.has("targetRef"), spec.has("targetRefs")) {
        (true, true) => {
            report
                .error(
                    Code::Exclusive,
                    spec.key_spot("targetRef"),
                    "`targetRef` and `targetRefs` exclude each other",
                )
                .also(spec.key_spot("targetRefs"), "the other one")
                .help("keep `targetRefs`");
        }
        (false, false) => {
            report
                .error(Code::Missing, spec.spot(), "the policy has no `targetRefs`")
                .help("add `targetRefs:` with `kind` and `name` of what it applies to");
        }
        _ => {}
    }
    if spec.has("targetRefs") {
        return spec.objects("targetRefs");
    }
    spec.object("targetRef").into_iter().collect()
}

/// What a targetRef names, if that exists.
pub(super) fn find(
    view: View<'_>,
    policy: &Resource<'_>,
    resources: &Resources<'_>,
    report: &mut Report,
) -> Option<Targeted> {
    let (kind, name) = (view.word("kind")?, view.word("name")?);
    let (kind_of, groups): (_, &[&str]) = match kind.text {
        "Gateway" => (ResourceKind::Gateway, &[GATEWAY_GROUP, APOXY_GROUP]),
        "HTTPRoute" => (ResourceKind::HttpRoute, &[GATEWAY_GROUP, APOXY_GROUP]),
        "Backend" => (ResourceKind::Backend, &[OWN_GROUP, ENVOY_GROUP]),
        _ => return None,
    };
    if let Some(group) = view.word("group").filter(|group| !groups.contains(&group.text)) {
        let message = format!("`{}` has no kind `{}`", group.text, kind.text);
        report
            .error(Code::TargetNotFound, group.spot, message)
            .help(format!("write `group: {}`", groups[0]));
        return None;
    }
    let namespace = &policy.namespace;
    let Some(found) = resources.find(kind_of, namespace, name.text) else {
        if report.complete(kind_of) {
            let help = resources.instead(kind_of, namespace, name.text, report);
            report
                .error(
                    Code::TargetNotFound,
                    name.spot,
                    format!("there is no {} `{namespace}/{}`", kind.text, name.text),
                )
                .help(help);
        }
        return None;
    };
    let (namespace, owned) = (namespace.clone(), name.text.to_owned());
    let target = match (kind_of, view.word("sectionName")) {
        (ResourceKind::HttpRoute, Some(rule)) => {
            check_rule(found, rule, report);
            Target::Rule(namespace, owned, rule.text.to_owned())
        }
        (_, Some(section)) => {
            report
                .error(
                    Code::Later,
                    section.spot,
                    format!("`sectionName` of a {} is not supported yet", kind.text),
                )
                .help("remove it: the policy then applies to the whole of it");
            return None;
        }
        (ResourceKind::HttpRoute, None) => Target::Route(namespace, owned),
        (ResourceKind::Gateway, None) => Target::Gateway(namespace, owned),
        (_, None) => Target::Backend(namespace, owned),
    };
    Some(Targeted {
        target,
        spot: name.spot,
    })
}

fn check_rule(route: &Resource<'_>, rule: Word<'_>, report: &mut Report) {
    let rules = route.spec.map(|spec| spec.objects("rules")).unwrap_or_default();
    let names: Vec<&str> = rules.iter().filter_map(|rule| rule.text("name")).collect();
    if !names.contains(&rule.text) {
        let help = match nearest(rule.text, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("give a rule of the route `name: {}`", rule.text),
        };
        let message = format!(
            "HTTPRoute `{}` has no rule called `{}`",
            route.full_name(),
            rule.text
        );
        report.error(Code::TargetNotFound, rule.spot, message).help(help);
    }
}
