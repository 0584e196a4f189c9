//! From a request's head to where it goes: normal form, route, filters.

mod filters;
mod host;
mod owner;
mod paths;
mod unrouted;

use config::model::Underscores;
pub(crate) use host::AskedHost;
pub(crate) use owner::OwnersFields;
use policy::filter::{CorsAnswer, Filter, Redirect};
use policy::outcome::Failure;
use policy::rate_limit::Quota;
use policy::route::{ClusterRef, HostPlace, ListenerId, Matched, Route};
use wire::field::{Fields, Known};
use wire::h1::encode::Upgrade;
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::Method;
use wire::hop::{self, MaxForwards};
use wire::path::{Form, Target};

use crate::downstream::client::Client;
use crate::exchange::Scratch;
use crate::exchange::fault::Fault;
use crate::exchange::forward::{self, Origin};
use crate::exchange::view::{self, View};
use crate::snapshot::Snapshot;
use crate::telemetry::record::Record;
use crate::worker::context::Worker;
use paths::Paths;

/// A request that was found to be in order.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) body: BodyLength,
    pub(crate) upgrade: bool,
    /// It waits for a word before it sends its body.
    pub(crate) expects_continue: bool,
    /// Whom it comes from.
    pub(crate) origin: Origin,
    /// The target's authority overrides the `Host` field.
    host_overridden: bool,
    paths: Paths,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct ResolvedRoute<'a> {
    pub(crate) route: &'a Route,
    pub(crate) backend_filters: &'a [Filter],
    pub(crate) cluster: ClusterRef,
    /// What its rate limit leaves the client.
    pub(crate) quota: Option<Quota>,
}

/// What a request's head leads to.
#[derive(Debug)]
pub(crate) enum RouteDecision<'a> {
    /// To a cluster.
    Forward(ResolvedRoute<'a>),
    /// A redirect to this location.
    Redirect { status: u16, location: String },
    /// The answer to a CORS preflight.
    Preflight(Vec<(&'static str, String)>),
}

impl Accepted {
    /// Whether its body is known to fit a replay copy of so many bytes.
    pub(crate) fn fits(&self, replay_bytes: usize) -> bool {
        match self.body {
            BodyLength::None => true,
            BodyLength::Length(length) => length <= replay_bytes as u64,
            BodyLength::Chunked | BodyLength::UntilClose => false,
        }
    }

    /// How its `Upgrade` is written onward.
    pub(crate) fn upgrade(&self) -> Upgrade {
        if self.upgrade {
            Upgrade::Keep
        } else {
            Upgrade::Drop
        }
    }
}

/// Checks what a hop must check before it forwards anything, brings target and host into their normal
/// form, and makes of the head what goes on: nothing else is matched, limited or edited.
pub(crate) fn accept(
    worker: &Worker,
    client: &Client,
    work: &mut Scratch,
    record: &mut Record,
) -> Result<Accepted, Fault> {
    let Scratch {
        request,
        target: outbound,
        matched,
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
    let rules = client.downstream().paths;
    let (is_plain, as_sent) = (target.is_plain, target.is_as_sent());
    if !as_sent {
        outbound.clear();
        target.write_to(outbound);
        request.set_target(outbound);
    }
    let paths = if is_plain {
        Paths::plain(path_len)
    } else {
        Paths::of(request, path_len, rules, outbound, matched)?
    };
    check_underscores(&mut request.fields, client.downstream().underscores)?;
    let new_id = || forward::request_id(&mut worker.dice.borrow_mut());
    let origin = forward::arrive(request, authority, max_forwards, client, new_id);
    record.x_forwarded_for(request.fields.get(Known::XForwardedFor).unwrap_or_default());
    record.request_id(request.fields.get(Known::XRequestId).unwrap_or_default());
    Ok(Accepted {
        body,
        upgrade,
        expects_continue,
        origin,
        host_overridden,
        paths,
    })
}

/// Finds the route, throws for a backend, applies the filters to the request. `own` gets what the rule that
/// matched says in every response, also where this is an error.
pub(crate) fn route<'a>(
    worker: &Worker,
    snapshot: &'a Snapshot,
    client: &Client,
    work: &mut Scratch,
    accepted: &Accepted,
    own: &mut OwnersFields<'a>,
    record: &mut Record,
) -> Result<RouteDecision<'a>, Fault> {
    let listener = client.listener.ok_or_else(unrouted::no_listener)?;
    if accepted.paths.redirects {
        let url = filters::url(accepted, work, client, None);
        return Ok(RouteDecision::Redirect {
            status: 307,
            location: Redirect::unchanged(307).location(&url),
        });
    }
    let place = work.authority.place(snapshot, listener);
    let Matched { route, prefix } = find(snapshot, (listener, place), client, work, accepted)?;
    record.route(&route.name);
    (own.rule, own.route) = (&route.filters, &route.name);
    own.origin = Some(accepted.origin);
    if let Some(cors) = filters::cors(&route.filters) {
        match cors.decide(&filters::cors_request(work)) {
            CorsAnswer::Preflight(fields) => return Ok(RouteDecision::Preflight(fields)),
            CorsAnswer::Actual(edits) | CorsAnswer::NotCors(edits) => own.cors = Some(edits),
        }
    }
    let asked = &*work;
    let redirected = |filters: &[Filter]| {
        let redirect = filters::redirect(filters)?;
        let url = filters::url(accepted, asked, client, prefix);
        Some(RouteDecision::Redirect {
            status: redirect.status,
            location: redirect.location(&url),
        })
    };
    if let Some(redirect) = redirected(&route.filters) {
        return Ok(redirect);
    }
    let backend = route
        .pick(&mut worker.dice.borrow_mut())
        .ok_or_else(|| unrouted::no_backend(route))?;
    own.backend = &backend.filters;
    let cluster = backend.cluster.ok_or_else(|| unrouted::no_backend(route))?;
    if let Some(redirect) = redirected(&backend.filters) {
        return Ok(redirect);
    }
    let resolved = ResolvedRoute {
        route,
        backend_filters: &backend.filters,
        cluster,
        quota: quota(worker, snapshot, route, &work.request.fields, accepted)?,
    };
    filters::edit_request(&resolved, prefix, client, work, accepted);
    Ok(RouteDecision::Forward(resolved))
}

/// The rule that a request matches.
fn find<'a>(
    snapshot: &'a Snapshot,
    (listener, place): (ListenerId, Option<HostPlace>),
    client: &Client,
    work: &Scratch,
    accepted: &Accepted,
) -> Result<Matched<'a>, Fault> {
    let Scratch {
        request, authority, ..
    } = work;
    let (sent, query) = request.target().split_at(accepted.paths.len as usize);
    let view = View {
        head: request,
        path: if accepted.paths.differs {
            &work.matched
        } else {
            sent
        },
        query: query.strip_prefix('?'),
        upgrade: accepted.upgrade,
    };
    let Some(place) = place else {
        return Err(unrouted::unknown_host(snapshot, listener, authority));
    };
    let Some(matched) = snapshot.routes().find_at(place, &view) else {
        let asked = (request.method_text(), &**authority, view.path);
        return Err(unrouted::no_rule(snapshot, listener, asked));
    };
    if accepted.paths.is_ambiguous {
        paths::check_other_readings(
            snapshot.routes(),
            place,
            &view,
            sent,
            matched.route,
            client.downstream().paths,
        )?;
    }
    Ok(matched)
}

/// Takes the request from its client's quota. Only of what an endpoint would have to bear.
fn quota(
    worker: &Worker,
    snapshot: &Snapshot,
    route: &Route,
    fields: &Fields,
    accepted: &Accepted,
) -> Result<Option<Quota>, Fault> {
    let Some(limit) = route.rate_limit else {
        return Ok(None);
    };
    let header = |name: &str| view::forwarded(fields, accepted.upgrade, name.as_bytes());
    let address = accepted.origin.address;
    let passed = snapshot
        .rate_limit(limit)
        .pass(address, header, worker.clock.now());
    passed.map_err(|quota| unrouted::rate_limited(snapshot, (limit, quota), address))
}

impl ResolvedRoute<'_> {
    /// All filters, in the order they apply.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.route.filters.iter().chain(self.backend_filters)
    }
}

/// Does with fields whose name has an underscore what the owner chose. (Aliases never pass.)
fn check_underscores(fields: &mut Fields, chosen: Underscores) -> Result<(), Fault> {
    let marked = |name: &[u8]| name.contains(&b'_');
    if chosen == Underscores::Allow || !fields.iter().any(|(_, name, _)| marked(name)) {
        return Ok(());
    }
    if chosen == Underscores::RejectRequest {
        return Err(Fault::bad_request(
            400,
            "http1.unexpected_underscore",
            "A field's name has an underscore, which `headers.withUnderscoresAction` refuses.",
        ));
    }
    fields.keep(|_, name| !marked(name));
    Ok(())
}

fn ends_here(method: Method) -> Failure {
    if method == Method::Trace {
        Failure::TraceEndsHere
    } else {
        Failure::OptionsEndsHere
    }
}
