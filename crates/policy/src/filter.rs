//! Pure edits to a head: what a filter does, as data that the shell applies.

mod cors;
#[cfg(test)]
mod tests;
mod url;
mod value;

pub use cors::{CorsAnswer, CorsRequest};
pub use url::RequestUrl;
pub use value::{BadValue, Facts, Field, HeaderValue, Shape, Variable, Whose};

use crate::route::ClusterRef;
use crate::time::Dice;

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

/// `set`, `add`, `remove`, in this order. Names are valid field names, as the owner wrote them, values valid
/// field values; fields that carry framing or hop-by-hop meaning are refused by `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Overwrites.
    pub set: Vec<(String, HeaderValue)>,
    /// Appends another field.
    pub add: Vec<(String, HeaderValue)>,
    /// Removes.
    pub remove: Vec<String>,
}

/// A head's fields as the shell holds them, open to edits, with what is known of the message. Names are
/// compared without case.
pub trait HeadEdit: Facts {
    /// Replaces all fields of the name by one.
    fn set(&mut self, name: &str, value: &[u8]);
    /// Appends a field.
    fn add(&mut self, name: &str, value: &[u8]);
    /// Removes all fields of the name.
    fn remove(&mut self, name: &str);
}

impl HeaderEdits {
    /// Makes the edits. `memory` is for values with variables; kept from head to head, it does not grow. A value
    /// that comes to nothing sets no field, and removes those that are there.
    pub fn apply(&self, head: &mut impl HeadEdit, memory: &mut Vec<u8>) {
        for (name, value) in &self.set {
            match rendered(value, head, memory) {
                b"" if value.plain().is_none() => head.remove(name),
                value => head.set(name, value),
            }
        }
        for (name, value) in &self.add {
            match rendered(value, head, memory) {
                b"" if value.plain().is_none() => {}
                value => head.add(name, value),
            }
        }
        self.remove.iter().for_each(|name| head.remove(name));
    }

    /// Whether one of the edits is of this field; `name` in any case.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        let set = self.set.iter().map(|(name, _)| name);
        let all = set
            .chain(self.add.iter().map(|(name, _)| name))
            .chain(&self.remove);
        all.into_iter().any(|edited| edited.eq_ignore_ascii_case(name))
    }
}

/// A value for a message, without spaces at its ends.
fn rendered<'a>(value: &'a HeaderValue, facts: &impl Facts, memory: &'a mut Vec<u8>) -> &'a [u8] {
    if let Some(plain) = value.plain() {
        return plain.as_bytes();
    }
    memory.clear();
    value.render(facts, memory);
    memory.trim_ascii()
}

/// A path change of a redirect or rewrite. `*`, the target of `OPTIONS *`, is no path and stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// `ReplaceFullPath`.
    Full(String),
    /// `ReplacePrefixMatch`: the matched prefix by this, whole segments. A trailing slash of either
    /// means nothing. A match that was none by prefix leaves the path as it is.
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

impl Mirror {
    /// Throws for one request: is it mirrored?
    pub fn strikes(&self, dice: &mut Dice) -> bool {
        dice.below(u64::from(self.denominator)) < u64::from(self.numerator)
    }
}

/// `CORS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `*`, `https://*.example.com` (one label or more), `https://*` or whole origins. A port that is
    /// not given is the scheme's own.
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
