//! Whose requests the admin answers.
//!
//! It has no login: whoever reaches it may end the process. A browser on a machine that reaches it
//! can be made to ask for anything by any page, in two ways, and both are refused here:
//! - a page's own name is made to resolve to the admin's address (DNS rebinding). The request then
//!   carries that name as its Host, so a Host must be an IP address, `localhost`, or a name that
//!   the owner gave;
//! - a form of another site posts to the admin. The request then carries that site as its Origin,
//!   so an Origin must be the admin itself.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, HOST, ORIGIN, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The names that the admin answers to.
#[derive(Debug)]
pub(super) struct Guard {
    names: Vec<String>,
}

impl Guard {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    fn refusal(&self, headers: &HeaderMap) -> Option<(StatusCode, String)> {
        // A request without a Host is HTTP/1.0, which no browser speaks.
        let host = headers.get(HOST).map(HeaderValue::as_bytes);
        if let Some(host) = host
            && !self.knows(host)
        {
            let host = String::from_utf8_lossy(host);
            let sentence = format!(
                "the admin does not answer to the name {host:?}, because a web page could make a browser \
                 send it; use an IP address or localhost\n"
            );
            return Some((StatusCode::FORBIDDEN, sentence));
        }
        let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
        if let Some(origin) = origin
            && origin.strip_prefix(b"http://") != host
        {
            let sentence = "the admin does not answer to pages of other sites\n";
            return Some((StatusCode::FORBIDDEN, sentence.to_owned()));
        }
        let empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
        if !empty || headers.contains_key(TRANSFER_ENCODING) {
            let sentence = "the admin takes no request body; parameters go into the query\n";
            return Some((StatusCode::PAYLOAD_TOO_LARGE, sentence.to_owned()));
        }
        None
    }

    fn knows(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else {
            return false;
        };
        let name = without_port(host);
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                let is = |known: &str| known.eq_ignore_ascii_case(name);
                name.parse::<IpAddr>().is_ok() || is("localhost") || self.names.iter().any(|known| is(known))
            }
        }
    }
}

/// `host:port` without its port; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Refuses what the guard refuses, and keeps answers out of caches and from being guessed at.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(names: &[&str], fields: &[(&'static str, &str)]) -> Option<u16> {
        let guard = Guard::new(names.iter().map(|&name| name.to_owned()).collect());
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        guard.refusal(&headers).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn addresses_localhost_and_the_owners_names_are_answered_to() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9901",
            "[::1]",
            "[::1]:9901",
            "localhost:9901",
            "LOCALHOST",
            "10.1.2.3",
        ] {
            assert_eq!(status(&[], &[("host", host)]), None, "{host}");
        }
        assert_eq!(
            status(&["admin.internal"], &[("host", "Admin.internal:9901")]),
            None
        );
        assert_eq!(status(&[], &[]), None);
    }

    #[test]
    fn any_other_name_is_refused_as_it_may_be_rebound() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:9901",
            "",
            "[evil]",
            "::1]",
            "a:b",
        ] {
            assert_eq!(
                status(&["admin.internal"], &[("host", host)]),
                Some(403),
                "{host:?}"
            );
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused_and_our_own_is_not() {
        let host = ("host", "127.0.0.1:9901");
        assert_eq!(status(&[], &[host, ("origin", "http://127.0.0.1:9901")]), None);
        for origin in [
            "http://evil.example",
            "https://127.0.0.1:9901",
            "http://127.0.0.1:8080",
            "null",
        ] {
            assert_eq!(status(&[], &[host, ("origin", origin)]), Some(403), "{origin}");
        }
    }

    #[test]
    fn a_body_is_refused() {
        let host = ("host", "localhost");
        assert_eq!(status(&[], &[host, ("content-length", "0")]), None);
        assert_eq!(status(&[], &[host, ("content-length", "1")]), Some(413));
        assert_eq!(status(&[], &[host, ("transfer-encoding", "chunked")]), Some(413));
    }
}
