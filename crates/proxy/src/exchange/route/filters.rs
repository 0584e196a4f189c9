//! The filters of a route and of its backend, in the order in which they apply to a request.

use policy::filter::{Cors, CorsRequest, Filter, HeaderEdits, Redirect, RequestUrl};
use wire::field::Known;
use wire::forwarded::forwarded_port;
use wire::host::Authority;

use super::{Accepted, ResolvedRoute};
use crate::downstream::client::Client;
use crate::exchange::Scratch;
use crate::exchange::view::{Circumstances, EditableRequest};

/// Applies the filters that change the request: its target, its host, then its fields. `prefix` is the one by
/// which the route matched.
pub(super) fn edit_request(
    resolved: &ResolvedRoute<'_>,
    prefix: Option<&str>,
    client: &Client,
    work: &mut Scratch,
    accepted: &Accepted,
) {
    let authority = &work.authority;
    let mut host = accepted.host_overridden.then(|| authority.to_string());
    if authority.is_empty() {
        // HTTP/1.0 needs no Host, HTTP/1.1 does (RFC 9112, 3.2): the one that the client connected to.
        host = Some(client.connection.local.to_string());
    }
    let mut rewritten = None;
    for rewrite in resolved.filters().filter_map(as_rewrite) {
        let url = url(accepted, work, client, prefix);
        rewritten = rewrite.target(&url).or(rewritten);
        host = rewrite.hostname.clone().or(host);
    }
    if let Some(rewritten) = rewritten {
        work.target.clone_from(&rewritten);
        work.request.set_target(&work.target);
    }
    let Scratch {
        request,
        authority,
        value,
        ..
    } = work;
    for edits in resolved.filters().filter_map(as_request_edits) {
        let known = Circumstances {
            peer: client.connection.peer,
            local: client.connection.local,
            origin: &accepted.origin,
            authority,
            route: &resolved.route.name,
        };
        edits.apply(&mut EditableRequest { head: request, known }, value);
    }
    if let Some(host) = host {
        let fields = &mut request.fields;
        fields.put(Known::Host, |value| value.extend_from_slice(host.as_bytes()));
    }
}

/// The URL that a client asked for.
pub(super) fn url<'w>(
    accepted: &Accepted,
    work: &'w Scratch,
    client: &Client,
    prefix: Option<&str>,
) -> RequestUrl<'w> {
    let (sent, query) = work.request.target().split_at(accepted.paths.len as usize);
    RequestUrl {
        scheme: accepted.origin.scheme,
        authority: &work.authority,
        port: asked_port(accepted, work, client),
        path: sent,
        rest: prefix.map(|prefix| accepted.paths.rest(sent, prefix)),
        query: query.strip_prefix('?'),
    }
}

/// The port that the client asked for. Behind a proxy that is not ours to know but from what it says: the
/// port of our listener means nothing to its clients.
fn asked_port(accepted: &Accepted, work: &Scratch, client: &Client) -> u16 {
    if !accepted.origin.behind_proxy {
        return client.connection.local.port();
    }
    let of_host = || {
        Authority::parse(&work.authority)
            .ok()
            .and_then(|authority| authority.port)
    };
    let of_scheme = if accepted.origin.scheme == "https" {
        443
    } else {
        80
    };
    forwarded_port(&work.request.fields)
        .or_else(of_host)
        .unwrap_or(of_scheme)
}

pub(super) fn redirect(filters: &[Filter]) -> Option<&Redirect> {
    filters.iter().find_map(|filter| match filter {
        Filter::Redirect(redirect) => Some(redirect),
        _ => None,
    })
}

pub(super) fn cors(filters: &[Filter]) -> Option<&Cors> {
    filters.iter().find_map(|filter| match filter {
        Filter::Cors(cors) => Some(cors),
        _ => None,
    })
}

fn as_rewrite(filter: &Filter) -> Option<&policy::filter::Rewrite> {
    match filter {
        Filter::Rewrite(rewrite) => Some(rewrite),
        _ => None,
    }
}

fn as_request_edits(filter: &Filter) -> Option<&HeaderEdits> {
    match filter {
        Filter::RequestHeaders(edits) => Some(edits),
        _ => None,
    }
}

pub(super) fn cors_request(work: &Scratch) -> CorsRequest<'_> {
    let head = &work.request;
    let text = |name: &[u8]| {
        head.fields
            .get_named(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    };
    CorsRequest {
        method: head.method_text(),
        origin: text(b"origin"),
        request_method: text(b"access-control-request-method"),
        request_headers: text(b"access-control-request-headers"),
    }
}
