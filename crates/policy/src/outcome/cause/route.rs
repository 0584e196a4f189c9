//! What routing finds, and answers of evenkeel's own.

use super::{Row, Told};
use crate::outcome::Flag;

pub(super) const OPTIONS: Row = Row {
    flag: None,
    told: Told::Status(200),
    details: "direct_response",
    body: "",
    happened: "`OPTIONS` with `Max-Forwards: 0`: evenkeel is the request's last recipient (RFC 9110, 7.6.2) and \
               answers itself.",
    look: "Nothing: this is no failure.",
    set: "Nothing.",
};

pub(super) const TRACE: Row = Row {
    flag: None,
    told: Told::Status(405),
    details: "direct_response",
    body: "",
    happened: "`TRACE` with `Max-Forwards: 0`. evenkeel does not reflect it: what it would reflect may be \
               another's secret.",
    look: "Who sends `TRACE`.",
    set: "Nothing.",
};

pub(super) const NO_ROUTE: Row = Row {
    flag: Some(Flag::NR),
    told: Told::Status(404),
    details: "route_not_found",
    body: "",
    happened: "No route matches the request.",
    look: "The sentence: it says which host and path were looked for, and which hostnames exist on that \
           listener.",
    set: "`hostnames` or `rules.matches` of an HTTPRoute that is attached to the listener.",
};

pub(super) const NO_BACKEND: Row = Row {
    flag: Some(Flag::NC),
    // The Gateway API asks for 500 where Envoy's own default is 503.
    told: Told::Status(500),
    details: "cluster_not_found",
    body: "",
    happened: "The route matches, and leads to no backend: it has none, all have weight 0, or the one that was \
               chosen does not exist.",
    look: "`backendRefs` of the rule, and the warnings of `evenkeel check`.",
    set: "A Backend of the name that the rule refers to.",
};

pub(super) const RATE_LIMITED: Row = Row {
    flag: Some(Flag::RL),
    told: Told::Status(429),
    details: "local_rate_limited",
    body: "local_rate_limited",
    happened: "The request came earlier than its rate limit allows. `Retry-After`, `RateLimit` and \
               `RateLimit-Policy` tell the client when to return.",
    look: "The sentence: which rule, and whose bucket was empty.",
    set: "`rateLimit` of the BackendTrafficPolicy.",
};
