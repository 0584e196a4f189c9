//! Why a request is not forwarded, with what its owner needs to know to mend it: looked up only once it
//! is known that there is no way.

use std::net::IpAddr;

use policy::outcome::Failure;
use policy::plan::{Distinct, RateRule};
use policy::rate_limit::Quota;
use policy::route::{ListenerId, RateLimitRef, Route};

use crate::exchange::fault::Fault;
use crate::snapshot::Snapshot;

/// Hostnames that a sentence names at most.
const NAMED_MAX: usize = 5;

/// Bytes of what a client sent that a sentence quotes at most.
const QUOTED_MAX: usize = 120;

/// The connection came by a listener that is no more.
#[cold]
pub(super) fn no_listener() -> Fault {
    Fault::from(Failure::NoRoute).with("No Gateway of the present configuration listens at this address.")
}

/// No route has the host.
#[cold]
pub(super) fn unknown_host(snapshot: &Snapshot, listener: ListenerId, host: &str) -> Fault {
    let asked = match quoted(host) {
        "" => String::from("a request without a host"),
        host => format!("the host {host}"),
    };
    let known = known_hosts(snapshot, listener);
    Fault::from(Failure::NoRoute).with(format!("No HTTPRoute of this listener is for {asked}. {known}"))
}

/// Routes have the host, and none of their rules matches.
#[cold]
pub(super) fn no_rule(
    snapshot: &Snapshot,
    listener: ListenerId,
    (method, host, path): (&str, &str, &str),
) -> Fault {
    let (host, path) = (quoted(host), quoted(path));
    let known = known_hosts(snapshot, listener);
    Fault::from(Failure::NoRoute).with(format!(
        "HTTPRoutes of this listener are for the host {host}, but none of their rules matches {method} {path} \
         with the request's fields. {known}"
    ))
}

fn known_hosts(snapshot: &Snapshot, listener: ListenerId) -> String {
    let (names, all) = snapshot.routes().hostnames(listener, NAMED_MAX);
    if all == 0 {
        return String::from("No HTTPRoute is attached to this listener.");
    }
    let more = all.saturating_sub(names.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("Its hostnames are {}{more}.", names.join(", "))
}

/// The route leads nowhere.
#[cold]
pub(super) fn no_backend(route: &Route) -> Fault {
    let why = if route.backends.is_empty() {
        "has no backendRefs"
    } else if route.backends.iter().all(|backend| backend.weight == 0) {
        "has backendRefs of weight 0 only"
    } else {
        "names a backend that does not exist"
    };
    Fault::from(Failure::NoCluster).with(format!("The rule {} {why}.", route.name))
}

/// A rate limit was met.
#[cold]
pub(super) fn rate_limited(
    snapshot: &Snapshot,
    (limit, quota): (RateLimitRef, Quota),
    client: IpAddr,
) -> Fault {
    let spec = snapshot.rate_limit_spec(limit);
    let rule = spec.plan.rules.get(quota.rule as usize);
    let bucket = rule.map_or(String::from("its bucket"), |rule| whose(rule, client));
    let seconds = quota.per.as_secs_f64();
    Fault::from(Failure::RateLimited(quota)).with(format!(
        "Rule {} of the BackendTrafficPolicy {}, rateLimit.local.rules[{0}].limit = {} requests in {seconds} s, \
         has no request left in {bucket}; the next passes in {:.1} s.",
        quota.rule,
        spec.name,
        quota.limit,
        quota.wait.as_secs_f64()
    ))
}

/// Whose bucket it is.
fn whose(rule: &RateRule, client: IpAddr) -> String {
    match &rule.distinct {
        Distinct::Shared => String::from("the bucket that all requests share"),
        Distinct::Client => format!("the bucket of the client address {client}"),
        Distinct::Header(name) => format!("the bucket of this request's value of the field {name}"),
    }
}

fn quoted(text: &str) -> &str {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
