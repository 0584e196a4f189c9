//! Cross-origin requests (the Fetch standard's CORS protocol): who may read an answer, and the
//! answer to a browser that asks beforehand.
//!
//! The filter is the authority: `Access-Control-*` fields of the upstream's response give way to its
//! own. It echoes what was asked for rather than answer `*`, with credentials because browsers
//! demand it, without them because Envoy does so and the conformance suite expects it. So every
//! answer depends on `Origin`, and caches are told.

use super::url::{scheme_port, split_port};
use super::{Cors, HeaderEdits, HeaderValue};

/// What CORS looks at in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CorsRequest<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Access-Control-Request-Method`.
    pub request_method: Option<&'a str>,
    /// `Access-Control-Request-Headers`.
    pub request_headers: Option<&'a str>,
}

/// What becomes of a request on a route with a CORS filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsAnswer {
    /// A preflight: answer 200 with these fields and an empty body; nothing is forwarded. For an
    /// origin that is not allowed they do not allow it, and the browser tells its script.
    Preflight(Vec<(&'static str, String)>),
    /// An actual request: forward it, and make these edits to its response.
    Actual(HeaderEdits),
    /// Not a cross-origin request: forward it, and make these edits to its response, so that a cache
    /// does not give it to one that is.
    NotCors(HeaderEdits),
}

impl Cors {
    /// Decides for one request.
    #[must_use]
    pub fn decide(&self, request: &CorsRequest<'_>) -> CorsAnswer {
        let vary = (VARY, "Origin".to_owned());
        let Some(origin) = request.origin else {
            return CorsAnswer::NotCors(edits(Vec::new(), vary, &[]));
        };
        let mut fields = Vec::new();
        let allowed = self.allows(origin);
        if allowed {
            fields.push((ALLOW_ORIGIN, origin.to_owned()));
            if self.allow_credentials {
                fields.push((ALLOW_CREDENTIALS, "true".to_owned()));
            }
            fields.extend(self.exposed().map(|names| (EXPOSE_HEADERS, names)));
        }
        let Some(asked) = request.request_method.filter(|_| request.method == "OPTIONS") else {
            return CorsAnswer::Actual(edits(fields, vary, &OWNED));
        };
        if allowed {
            fields.extend(listed(&self.allow_methods, Some(asked)).map(|names| (ALLOW_METHODS, names)));
            let names = listed(&self.allow_headers, request.request_headers);
            fields.extend(names.map(|names| (ALLOW_HEADERS, names)));
            fields.push((MAX_AGE, self.max_age.to_string()));
        }
        fields.push(vary);
        CorsAnswer::Preflight(fields)
    }

    /// Whether an origin is allowed.
    fn allows(&self, origin: &str) -> bool {
        self.allow_origins.iter().any(|allowed| {
            // Whole equality lets `null` and origins of other schemes be named.
            allowed == "*" || allowed.eq_ignore_ascii_case(origin) || covers(allowed, origin)
        })
    }

    /// The response fields that scripts may read. With credentials `*` would be read as a field's name.
    fn exposed(&self) -> Option<String> {
        let means_nothing = |name: &&String| !(self.allow_credentials && *name == "*");
        let names: Vec<_> = self
            .expose_headers
            .iter()
            .filter(means_nothing)
            .map(String::as_str)
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// A list as a field value, where `*` stands for what was asked for.
fn listed(names: &[String], asked: Option<&str>) -> Option<String> {
    match names {
        [] => None,
        names if names.iter().any(|name| name == "*") => asked.map(str::to_owned),
        names => Some(names.join(", ")),
    }
}

/// Whether an allowed origin of the form `scheme://host:port`, its host perhaps a wildcard, covers
/// this one. Schemes and hosts are compared without case (RFC 6454, 4).
fn covers(allowed: &str, origin: &str) -> bool {
    let parts = |text: &str| {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = split_port(authority);
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        Some((port.or(scheme_port(&scheme))?, scheme, host))
    };
    let (Some(allowed), Some(origin)) = (parts(allowed), parts(origin)) else {
        return false;
    };
    let host_is_covered = match allowed.2.strip_prefix('*') {
        // `.example.com`, and something before it.
        Some(suffix) => origin.2.strip_suffix(suffix).is_some_and(|rest| !rest.is_empty()),
        None => allowed.2 == origin.2,
    };
    (allowed.0, allowed.1) == (origin.0, origin.1) && host_is_covered
}

/// Sets fields on a response, adds one, and removes those of `owned` that are not set.
fn edits(set: Vec<(&'static str, String)>, add: (&'static str, String), owned: &[&str]) -> HeaderEdits {
    let text = |(name, value): (&str, String)| (name.to_owned(), HeaderValue::from(value));
    let not_set = |name: &&&str| !set.iter().any(|(is_set, _)| is_set == *name);
    HeaderEdits {
        remove: owned.iter().filter(not_set).map(ToString::to_string).collect(),
        set: set.into_iter().map(text).collect(),
        add: vec![text(add)],
    }
}

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const ALLOW_METHODS: &str = "access-control-allow-methods";
const ALLOW_HEADERS: &str = "access-control-allow-headers";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";
const MAX_AGE: &str = "access-control-max-age";
const VARY: &str = "vary";

/// The fields that are the filter's alone.
const OWNED: [&str; 6] = [
    ALLOW_ORIGIN,
    ALLOW_CREDENTIALS,
    ALLOW_METHODS,
    ALLOW_HEADERS,
    EXPOSE_HEADERS,
    MAX_AGE,
];
