//! HTTPRoutes: where they attach, and what their rules do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::filter::Filter;
use policy::route::{Limit, ListenerId, MatchSpec, PathMatch, Route, RouteSpec, RuleSpec, WeightedBackend};

use crate::mistake::{Code, Report};
use crate::model::WrittenRoute;
use crate::node::Spot;
use crate::shape::ResourceKind;

use super::attach::{self, Attached};
use super::cluster::Asker;
use super::filter::{Stage, filters, replaces_prefix};
use super::matching::matching;
use super::resource::{Resource, Resources};
use super::view::View;
use super::{World, reference, repeats, retry, shadow};

/// The HTTPRoutes as written, for those who compare or list them.
pub(super) fn written(resources: &Resources<'_>) -> Vec<WrittenRoute> {
    let written = |resource: &Resource<'_>| {
        let spec = resource.spec?;
        Some(WrittenRoute {
            name: resource.full_name().into(),
            rules: spec.objects("rules").len().max(1),
            mark: spec.mark(),
        })
    };
    resources
        .of(ResourceKind::HttpRoute)
        .filter_map(written)
        .collect()
}

pub(super) fn resolve(world: &mut World<'_, '_>, report: &mut Report) -> Vec<RouteSpec> {
    let resources = world.resources;
    let created = resources
        .of(ResourceKind::HttpRoute)
        .filter_map(|r| r.created.as_deref());
    let created: BTreeSet<&str> = created.collect();
    let ranks: BTreeMap<&str, u64> = created.into_iter().zip(0..).collect();
    let (mut specs, mut shadows) = (Vec::new(), shadow::Shadows::default());
    for resource in resources.of(ResourceKind::HttpRoute) {
        let Some(spec) = resource.spec else { continue };
        // RFC 3339 sorts as text; a route of a file has no age, and its name decides.
        let rank = resource.created.as_deref().and_then(|created| ranks.get(created));
        let age_rank = rank.copied().unwrap_or(u64::MAX);
        let of_resource = route(resource, spec, age_rank, world, report);
        of_resource.iter().for_each(|route| shadows.add(route, spec));
        specs.extend(of_resource);
    }
    shadows.tell(report);
    specs
}

/// One route; several of the model's where policies of its Gateways treat its Backends differently.
fn route(
    resource: &Resource<'_>,
    spec: View<'_>,
    age_rank: u64,
    world: &mut World<'_, '_>,
    report: &mut Report,
) -> Vec<RouteSpec> {
    check_rule_names(spec, report);
    let hostnames = spec.texts("hostnames");
    let attached = attach::attach(resource, spec, &hostnames, world, report);
    let mut groups: BTreeMap<Option<(&str, &str)>, Vec<ListenerId>> = BTreeMap::new();
    for Attached { gateway, listener } in &attached {
        let gateway = (gateway.namespace.as_str(), gateway.name.as_str());
        let key = world.clusters.treats(gateway.0, gateway.1).then_some(gateway);
        groups.entry(key).or_default().push(*listener);
    }
    if groups.is_empty() {
        // It attaches nowhere, which has been noted; its rules are looked at for their mistakes.
        groups.insert(None, Vec::new());
    }
    let mut specs = Vec::new();
    for (gateway, listeners) in groups {
        let asker = Asker {
            route: (&resource.namespace, &resource.name),
            host: hostnames
                .iter()
                .map(String::as_str)
                .find(|name| !name.starts_with('*')),
            rule: None,
            gateway,
        };
        specs.push(RouteSpec {
            name: resource.full_name().into(),
            listeners,
            hostnames: hostnames.clone(),
            rules: rules(resource, spec, asker, world, report),
            age_rank,
        });
    }
    specs
}

fn check_rule_names(spec: View<'_>, report: &mut Report) {
    let mut seen = BTreeMap::new();
    for name in spec.objects("rules").iter().filter_map(|rule| rule.word("name")) {
        if let Some(first) = seen.insert(name.text, name.spot) {
            report
                .error(
                    Code::DuplicateName,
                    name.spot,
                    format!("two rules are called `{}`", name.text),
                )
                .also(first, "the first one")
                .help("rename one of them");
        }
    }
}

fn rules(
    resource: &Resource<'_>,
    spec: View<'_>,
    asker: Asker<'_>,
    world: &mut World<'_, '_>,
    report: &mut Report,
) -> Vec<RuleSpec> {
    let views = spec.objects("rules");
    if views.is_empty() && !spec.has("rules") && !spec.has_strangers() {
        report
            .error(
                Code::NoShare,
                resource.spot,
                "this route has no rules: it answers every request with 500",
            )
            .help("add `rules:` with `backendRefs`");
        let action = Route {
            name: format!("httproute/{}/rule/0", resource.full_name()).into(),
            filters: Vec::new(),
            backends: Vec::new(),
            request_timeout: None,
            per_try_timeout: None,
            retry: None,
            rate_limit: world.policies.rate_limit(asker),
        };
        return vec![RuleSpec {
            matches: Vec::new(),
            action: Arc::new(action),
        }];
    }
    let mut rules = Vec::new();
    for (index, view) in views.into_iter().enumerate() {
        let asker = Asker {
            rule: view.text("name"),
            ..asker
        };
        let matches: Vec<MatchSpec> = view
            .objects("matches")
            .into_iter()
            .map(|m| matching(m, report))
            .collect();
        let filters = rule_filters(view, &matches, resource, asker, world, report);
        let backends = backends(view, resource, asker, world, report);
        check_answer(view, &filters, &backends, report);
        let (request_timeout, per_try_timeout) = timeouts(view, report);
        let words = world.policies.request_words(asker);
        let own = view.object("retry").map(retry::of_route);
        let retry = repeats::settle(
            view,
            own.or(words.retry),
            &matches,
            &backends,
            asker,
            (resource, world),
            report,
        );
        let rule_name = asker.rule.map(|name| format!("/{name}")).unwrap_or_default();
        let action = Route {
            name: format!("httproute/{}/rule/{index}{rule_name}", resource.full_name()).into(),
            filters,
            backends,
            request_timeout: request_timeout.or(words.request),
            per_try_timeout: per_try_timeout.or(words.per_try),
            retry,
            rate_limit: world.policies.rate_limit(asker),
        };
        rules.push(RuleSpec {
            matches,
            action: Arc::new(action),
        });
    }
    rules
}

fn rule_filters(
    view: View<'_>,
    matches: &[MatchSpec],
    resource: &Resource<'_>,
    asker: Asker<'_>,
    world: &mut World<'_, '_>,
    report: &mut Report,
) -> Vec<Filter> {
    let mut cluster = |view: View<'_>, report: &mut Report| {
        let (namespace, name) = reference::backend(view, resource, world, report)?;
        world.clusters.get((&namespace, &name), asker)
    };
    let list = filters(&view.objects("filters"), Stage::Rule, &mut cluster, report);
    let redirect = list
        .iter()
        .find(|(filter, _)| matches!(filter, Filter::Redirect(_)));
    let rewrite = list
        .iter()
        .find(|(filter, _)| matches!(filter, Filter::Rewrite(_)));
    if let (Some((_, redirect)), Some((_, rewrite))) = (redirect, rewrite) {
        report
            .error(
                Code::Exclusive,
                *rewrite,
                "a rule cannot both redirect and rewrite",
            )
            .also(*redirect, "the redirect")
            .help("a redirect can change the path itself; remove the rewrite");
    }
    list.into_iter()
        .map(|(filter, spot)| {
            check_prefix(&filter, matches, spot, report);
            filter
        })
        .collect()
}

/// `ReplacePrefixMatch` needs a prefix that matched.
fn check_prefix(filter: &Filter, matches: &[MatchSpec], spot: Spot, report: &mut Report) {
    let has_prefix = |spec: &MatchSpec| matches!(spec.path, None | Some(PathMatch::Prefix(_)));
    if replaces_prefix(filter) && !matches.iter().all(has_prefix) {
        report
            .error(
                Code::Inconsistent,
                spot,
                "`ReplacePrefixMatch` needs matches of type `PathPrefix`",
            )
            .help("use `ReplaceFullPath`, or match by `PathPrefix`");
    }
}

fn backends(
    view: View<'_>,
    resource: &Resource<'_>,
    asker: Asker<'_>,
    world: &mut World<'_, '_>,
    report: &mut Report,
) -> Vec<WeightedBackend> {
    let mut backends = Vec::new();
    for view in view.objects("backendRefs") {
        let found = reference::backend(view, resource, world, report);
        let cluster = found.and_then(|(namespace, name)| world.clusters.get((&namespace, &name), asker));
        let mut mirror = |view: View<'_>, report: &mut Report| {
            let (namespace, name) = reference::backend(view, resource, world, report)?;
            world.clusters.get((&namespace, &name), asker)
        };
        let filters = filters(&view.objects("filters"), Stage::BackendRef, &mut mirror, report);
        backends.push(WeightedBackend {
            weight: view.int("weight").unwrap_or(1),
            cluster,
            filters: filters.into_iter().map(|(filter, _)| filter).collect(),
        });
    }
    backends
}

/// Notes a rule that forwards and redirects at once, or that can only answer 500.
fn check_answer(view: View<'_>, filters: &[Filter], backends: &[WeightedBackend], report: &mut Report) {
    let redirects = filters.iter().any(|filter| matches!(filter, Filter::Redirect(_)));
    if redirects && !backends.is_empty() {
        report
            .error(
                Code::Exclusive,
                view.key_spot("backendRefs"),
                "a rule that redirects forwards nothing",
            )
            .help("remove `backendRefs`, or the redirect");
    } else if !redirects && backends.is_empty() && !view.has_strangers() {
        report
            .error(
                Code::NoShare,
                view.spot(),
                "this rule has no `backendRefs`: it answers with 500",
            )
            .help("add `backendRefs`, or a filter of type `RequestRedirect`");
    } else if !redirects && !backends.is_empty() && backends.iter().all(|backend| backend.weight == 0) {
        report
            .error(
                Code::NoShare,
                view.key_spot("backendRefs"),
                "every weight is 0: this rule answers with 500",
            )
            .help("give one of them a `weight` above 0");
    }
}

fn timeouts(view: View<'_>, report: &mut Report) -> (Option<Limit>, Option<Limit>) {
    let Some(view) = view.object("timeouts") else {
        return (None, None);
    };
    let limit = |name| {
        view.duration(name).map(|span| {
            if span.is_zero() {
                Limit::Unlimited
            } else {
                Limit::After(span)
            }
        })
    };
    let (request, per_try) = (limit("request"), limit("backendRequest"));
    if let (Some(Limit::After(request)), Some(Limit::After(per_try))) = (request, per_try)
        && per_try > request
    {
        report
            .error(
                Code::Inconsistent,
                view.value_spot("backendRequest"),
                "one attempt may take longer than the whole request",
            )
            .also(view.value_spot("request"), "the whole request")
            .help("keep `backendRequest` within `request`");
    }
    (request, per_try)
}
