//! From a request's head to where it goes: normal form, route, filters.

mod host;

pub(crate) use host::AskedHost;
use policy::filter::{Cors, CorsAnswer, CorsRequest, Filter, HeaderEdits, Redirect, RequestUrl};
use policy::outcome::Failure;
use policy::rate_limit::Quota;
use policy::route::{ClusterRef, Matched, Route};
use wire::forwarded::client_address;
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::{Method, RequestHead};
use wire::hop::{self, MaxForwards};
use wire::path::{Form, Target};

use crate::downstream::client::Client;
use crate::exchange::Workspace;
use crate::fault::Fault;
use crate::record::Record;
use crate::snapshot::Snapshot;
use crate::view::{Editable, View};
use crate::worker::Worker;

/// A request that was found to be in order.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) body: BodyLength,
    /// `Max-Forwards` to send.
    pub(crate) max_forwards: Option<u32>,
    pub(crate) upgrade: bool,
    /// It waits for a word before it sends its body.
    pub(crate) expects_continue: bool,
    /// The target's authority overrides the `Host` field.
    host_overridden: bool,
    /// How much of the target in normal form is the path. No head is longer than 4 GiB.
    path_len: u32,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Routed<'a> {
    pub(crate) route: &'a Route,
    pub(crate) backend_filters: &'a [Filter],
    pub(crate) cluster: ClusterRef,
    /// Replaces `Host`.
    pub(crate) host: Option<String>,
    /// Edits to the response that CORS asks for.
    pub(crate) cors: Option<HeaderEdits>,
    /// What its rate limit leaves the client.
    pub(crate) quota: Option<Quota>,
}

/// What a request's head leads to.
#[derive(Debug)]
pub(crate) enum Way<'a> {
    /// To a cluster.
    Forward(Routed<'a>),
    /// A redirect to this location.
    Redirect { status: u16, location: String },
    /// The answer to a CORS preflight.
    Preflight(Vec<(&'static str, String)>),
}

/// Checks what a hop must check before it forwards anything, and brings target and host into
/// their normal form.
pub(crate) fn accept(work: &mut Workspace, record: &mut Record) -> Result<Accepted, Fault> {
    let Workspace {
        request,
        target: onward,
        authority,
        ..
    } = work;
    record.head(request);
    let body = framing::request_body(request)?;
    hop::check_connection(&request.fields)?;
    let expects_continue = hop::expects_continue(request)?;
    let max_forwards = match hop::max_forwards(request)? {
        MaxForwards::Unbound => None,
        MaxForwards::Forward(hops) => Some(hops),
        MaxForwards::Answer => return Err(ends_here(request.method).into()),
    };
    if request.method == Method::Connect {
        return Err(Fault::bad_request(
            405,
            "upgrade_failed",
            "CONNECT is not offered.",
        ));
    }
    let upgrade = hop::upgrade_request(request).is_some();
    let target = Target::of(request)?;
    authority.read(request, &target)?;
    let host_overridden = target.form == Form::Absolute;
    let path_len = target.path.len() as u32;
    if !target.is_as_sent() {
        onward.clear();
        target.write_to(onward);
        request.set_target(onward);
    }
    Ok(Accepted {
        body,
        max_forwards,
        upgrade,
        expects_continue,
        host_overridden,
        path_len,
    })
}

/// Finds the route, throws for a backend, applies the filters to the request.
pub(crate) fn find<'a>(
    worker: &Worker,
    snapshot: &'a Snapshot,
    client: &Client,
    work: &mut Workspace,
    accepted: &Accepted,
    record: &mut Record,
) -> Result<Way<'a>, Fault> {
    let Workspace {
        request,
        authority,
        target: onward,
        ..
    } = work;
    let listener = client.listener.ok_or(Failure::NoRoute)?;
    let (path, query) = request.target().split_at(accepted.path_len as usize);
    let view = View {
        head: request,
        path,
        query: query.strip_prefix('?'),
    };
    let place = authority.place(snapshot, listener).ok_or(Failure::NoRoute)?;
    let Matched { route, prefix } = snapshot.routes().find_at(place, &view).ok_or(Failure::NoRoute)?;
    record.route(&route.name);
    let url = RequestUrl {
        scheme: "http",
        authority,
        port: client.connection.local.port(),
        path: view.path,
        query: view.query,
        prefix,
    };
    if let Some(redirect) = redirect(&route.filters) {
        return Ok(Way::Redirect {
            status: redirect.status,
            location: redirect.location(&url),
        });
    }
    let mut cors_edits = None;
    if let Some(cors) = cors(&route.filters) {
        match cors.decide(&cors_request(request)) {
            CorsAnswer::Preflight(fields) => return Ok(Way::Preflight(fields)),
            CorsAnswer::Actual(edits) | CorsAnswer::NotCors(edits) => cors_edits = Some(edits),
        }
    }
    let backend = route
        .pick(&mut worker.dice.borrow_mut())
        .ok_or(Failure::NoCluster)?;
    let cluster = backend.cluster.ok_or(Failure::NoCluster)?;
    if let Some(redirect) = redirect(&backend.filters) {
        return Ok(Way::Redirect {
            status: redirect.status,
            location: redirect.location(&url),
        });
    }
    // By the fields as the client sent them, and only of what an endpoint would have to bear.
    let quota = match route.rate_limit {
        None => None,
        Some(limit) => {
            let trusted_hops = client.downstream().trusted_hops;
            let address = client_address(&request.fields, client.connection.peer.ip(), trusted_hops);
            let limit = snapshot.rate_limit(limit);
            limit.pass(address, &request.fields, worker.clock.now())?
        }
    };
    let mut host = accepted.host_overridden.then(|| authority.to_string());
    if authority.is_empty() {
        // HTTP/1.0 needs no Host, HTTP/1.1 does (RFC 9112, 3.2): the one that the client connected to.
        host = Some(client.connection.local.to_string());
    }
    let mut rewritten = None;
    for rewrite in route
        .filters
        .iter()
        .chain(&backend.filters)
        .filter_map(as_rewrite)
    {
        rewritten = rewrite.target(&url).or(rewritten);
        host = rewrite.hostname.clone().or(host);
    }
    if let Some(rewritten) = rewritten {
        onward.clone_from(&rewritten);
        request.set_target(onward);
    }
    for edits in route
        .filters
        .iter()
        .chain(&backend.filters)
        .filter_map(as_request_edits)
    {
        edits.apply(&mut Editable(&mut request.fields));
    }
    Ok(Way::Forward(Routed {
        route,
        backend_filters: &backend.filters,
        cluster,
        host,
        cors: cors_edits,
        quota,
    }))
}

impl Routed<'_> {
    /// All filters, in the order they apply.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.route.filters.iter().chain(self.backend_filters)
    }
}

fn ends_here(method: Method) -> Failure {
    if method == Method::Trace {
        Failure::TraceEndsHere
    } else {
        Failure::OptionsEndsHere
    }
}

fn redirect(filters: &[Filter]) -> Option<&Redirect> {
    filters.iter().find_map(|filter| match filter {
        Filter::Redirect(redirect) => Some(redirect),
        _ => None,
    })
}

fn cors(filters: &[Filter]) -> Option<&Cors> {
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

fn cors_request(head: &RequestHead) -> CorsRequest<'_> {
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
