//! Redirects and rewrites: where a request's URL leads instead.

use std::borrow::Cow;

use super::{PathChange, Redirect, Rewrite};

/// The URL that was asked for, with what routing found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestUrl<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host, with or without a port; empty if there is none (HTTP/1.0).
    pub authority: &'a str,
    /// The listener's port.
    pub port: u16,
    /// The path as it is forwarded.
    pub path: &'a str,
    /// What follows the prefix that matched in that path; `None` if the route did not match by one.
    pub rest: Option<&'a str>,
    /// The query, without `?`.
    pub query: Option<&'a str>,
}

impl Redirect {
    /// To the same URL.
    #[must_use]
    pub fn unchanged(status: u16) -> Self {
        Self {
            scheme: None,
            hostname: None,
            path: None,
            port: None,
            status,
        }
    }

    /// The value of `Location`. The query is kept. The port is the redirect's own; else that of the
    /// redirect's scheme, if it names one; else the listener's. It is left out where it is the
    /// scheme's own. Without any host to name, the location is relative.
    #[must_use]
    pub fn location(&self, url: &RequestUrl<'_>) -> String {
        let scheme = self.scheme.as_deref().unwrap_or(url.scheme);
        let host = self
            .hostname
            .as_deref()
            .unwrap_or_else(|| split_port(url.authority).0);
        let of_scheme = self.scheme.as_deref().and_then(scheme_port);
        let port = self.port.or(of_scheme).unwrap_or(url.port);
        let path = changed(self.path.as_ref(), url);
        let mut location = String::with_capacity(scheme.len() + host.len() + path.len() + 16);
        if !host.is_empty() {
            location.push_str(scheme);
            location.push_str("://");
            location.push_str(host);
            if scheme_port(scheme) != Some(port) {
                location.push(':');
                location.push_str(&port.to_string());
            }
        } else if path.starts_with("//") {
            // RFC 3986, 4.2: a relative reference that begins with two slashes names a host.
            location.push_str("/.");
        }
        location.push_str(&path);
        push_query(&mut location, url.query);
        location
    }
}

impl Rewrite {
    /// The target to send instead, path and query; `None` leaves it as it is. The query is kept.
    #[must_use]
    pub fn target(&self, url: &RequestUrl<'_>) -> Option<String> {
        let mut target = changed(Some(self.path.as_ref()?), url).into_owned();
        push_query(&mut target, url.query);
        Some(target)
    }
}

/// The path after a change.
fn changed<'a>(change: Option<&'a PathChange>, url: &RequestUrl<'a>) -> Cow<'a, str> {
    match change {
        _ if !url.path.starts_with('/') => Cow::Borrowed(url.path),
        None => Cow::Borrowed(url.path),
        Some(PathChange::Full(path)) => Cow::Borrowed(path),
        Some(PathChange::Prefix(replacement)) => match url.rest {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => joined(replacement, rest),
            _ => Cow::Borrowed(url.path),
        },
    }
}

/// A replacement and the segments that follow it; never empty.
fn joined<'a>(replacement: &'a str, rest: &'a str) -> Cow<'a, str> {
    match (replacement.trim_end_matches('/'), rest) {
        ("", "") => Cow::Borrowed("/"),
        ("", rest) => Cow::Borrowed(rest),
        (replacement, "") => Cow::Borrowed(replacement),
        (replacement, rest) => Cow::Owned(format!("{replacement}{rest}")),
    }
}

fn push_query(target: &mut String, query: Option<&str>) {
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
}

/// Host and port of an authority. An IPv6 address keeps its brackets, and its colons; what is not a
/// port stays part of the host.
pub(super) fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, "")) => (host, None),
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

/// The well-known port of a scheme.
pub(super) fn scheme_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}
