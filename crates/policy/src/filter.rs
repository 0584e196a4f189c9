//! Pure edits to a head: what a filter does, as data that the shell applies.

use crate::route::ClusterRef;

/// One filter of a route or backendRef.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// `RequestHeaderModifier`.
    RequestHeaders(HeaderEdits),
    /// `ResponseHeaderModifier`.
    ResponseHeaders(HeaderEdits),
    /// `RequestRedirect`: answers instead of forwarding.
    Redirect(Redirect),
    /// `URLRewrite`.
    Rewrite(Rewrite),
    /// `RequestMirror`.
    Mirror(Mirror),
    /// `CORS`.
    Cors(Cors),
}

/// `set`, `add`, `remove`, in this order. Names are valid field names in lower case, values valid
/// field values; fields that carry framing or hop-by-hop meaning are refused by `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Overwrites.
    pub set: Vec<(String, String)>,
    /// Appends another field.
    pub add: Vec<(String, String)>,
    /// Removes.
    pub remove: Vec<String>,
}

/// A path change of a redirect or rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// `ReplaceFullPath`.
    Full(String),
    /// `ReplacePrefixMatch`.
    Prefix(String),
}

/// `RequestRedirect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`; `None` keeps the request's.
    pub scheme: Option<String>,
    /// `None` keeps the request's.
    pub hostname: Option<String>,
    /// `None` keeps the path.
    pub path: Option<PathChange>,
    /// `None`: the scheme's well-known port if a scheme is set, else the listener's.
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308. Default 302.
    pub status: u16,
}

/// `URLRewrite`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Replaces `Host`.
    pub hostname: Option<String>,
    /// Replaces the path.
    pub path: Option<PathChange>,
}

/// `RequestMirror`: a copy whose answer is thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where to; `None` if the reference could not be resolved (nothing is mirrored).
    pub cluster: Option<ClusterRef>,
    /// Share of requests: `numerator` of `denominator`.
    pub numerator: u32,
    /// Above 0.
    pub denominator: u32,
}

/// `CORS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `*`, `https://*.example.com` or exact origins.
    pub allow_origins: Vec<String>,
    /// Whether `Access-Control-Allow-Credentials: true` is sent.
    pub allow_credentials: bool,
    /// Methods; `*` is all.
    pub allow_methods: Vec<String>,
    /// Request fields; `*` is all.
    pub allow_headers: Vec<String>,
    /// Response fields that scripts may read.
    pub expose_headers: Vec<String>,
    /// Seconds a preflight answer may be cached. Default 5.
    pub max_age: u32,
}
