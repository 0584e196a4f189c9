//! Retries of requests that an endpoint may have applied already.

use policy::plan::{OwnerRetry, RetryPlan, UnsafeMethods};
use policy::route::{MatchSpec, WeightedBackend};

use crate::mistake::{Code, Report};

use super::World;
use super::cluster::Asker;
use super::resource::Resource;
use super::view::View;

/// The retry plan of a rule: what it or a policy of its route says, kept to proven replays where a policy
/// asks for that. Notes it where a POST may be repeated that has been applied.
pub(super) fn settle(
    view: View<'_>,
    plan: Option<RetryPlan>,
    matches: &[MatchSpec],
    backends: &[WeightedBackend],
    asker: Asker<'_>,
    (resource, world): (&Resource<'_>, &World<'_, '_>),
    report: &mut Report,
) -> Option<RetryPlan> {
    let refs = view.objects("backendRefs");
    let named = refs.iter().filter_map(|backend| {
        let namespace = backend.text("namespace").unwrap_or(&resource.namespace);
        Some((namespace, backend.text("name")?))
    });
    let proven_only = world.policies.proven_only(asker, named);
    let plan = plan.map(|plan| match plan {
        RetryPlan::Owner(owner) if proven_only => RetryPlan::Owner(OwnerRetry {
            unsafe_methods: UnsafeMethods::ProvenOnly,
            ..owner
        }),
        other => other,
    });
    let of_clusters = || {
        let clusters = backends.iter().filter_map(|backend| backend.cluster);
        clusters
            .map(|cluster| &world.clusters.plan(cluster).retry)
            .find(|retry| repeats(retry))
    };
    let risky = plan.as_ref().map_or_else(|| of_clusters().is_some(), repeats);
    if risky && takes_unsafe(matches) {
        let at = if view.has("retry") {
            view.key_spot("retry")
        } else {
            view.spot()
        };
        report
            .error(
                Code::RepeatsUnsafe,
                at,
                "retries may repeat a POST that an endpoint has already applied",
            )
            .help(
                "match idempotent methods (`method: GET`) in a rule of their own, or set \
                 `retry.unsafeMethods: ProvenOnly` in a BackendTrafficPolicy of the route",
            );
    }
    plan
}

/// Whether it sends requests again that may have been applied, whatever their method.
fn repeats(plan: &RetryPlan) -> bool {
    match plan {
        RetryPlan::Transparent => false,
        RetryPlan::Owner(owner) => {
            let on = &owner.on;
            owner.attempts > 0
                && owner.unsafe_methods == UnsafeMethods::Retry
                && (on.reset || on.timeout || !on.statuses.is_empty())
        }
    }
}

/// Whether a request that is not idempotent (RFC 9110, 9.2.2) can match.
fn takes_unsafe(matches: &[MatchSpec]) -> bool {
    let is_safe = |method: &str| matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE");
    matches.is_empty()
        || matches
            .iter()
            .any(|one| one.method.as_deref().is_none_or(|method| !is_safe(method)))
}
