//! Heads to routes.

use std::borrow::Cow;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use policy::route::{
    ClusterRef, ListenerHost, ListenerId, MatchSpec, Matched, PathMatch, RequestView, Route, RouteSpec,
    RouteTable, RuleSpec, WeightedBackend, anchored,
};
use wire::field::Known;
use wire::h1::head::RequestHead;
use wire::host::{host_key, request_host};
use wire::path::{Form, Target};

use crate::{Step, heads};

/// The one listener.
pub(crate) const LISTENER: ListenerId = ListenerId(0);

/// Routes of one hostname.
const ROUTES_PER_HOST: usize = 10;

/// A request as routing sees it.
struct View<'a> {
    head: &'a RequestHead,
    target: Target<'a>,
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.head.method_text()
    }

    fn path(&self) -> &str {
        &self.target.path
    }

    fn query(&self) -> Option<&str> {
        self.target.query
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.head.fields.joined(name.as_bytes())
    }
}

/// The target is taken apart and brought into its normal form, the host checked.
pub(crate) fn normalise() -> Step {
    let head = heads::request();
    Box::new(move || normalised(black_box(&head)))
}

/// The target in its normal form, and the host.
pub(crate) fn normalised(head: &RequestHead) {
    let target = Target::of(head).expect("the target is in order");
    black_box(request_host(head, &target).expect("the host is in order"));
    black_box(&target);
}

/// A route is found among so many.
pub(crate) fn find(routes: usize) -> Step {
    let (table, head) = (table(routes), heads::request());
    Box::new(move || {
        black_box(matched(&table, black_box(&head)));
    })
}

/// The route of a request that was checked and brought into its normal form.
pub(crate) fn matched<'a>(table: &'a RouteTable, head: &RequestHead) -> Matched<'a> {
    let (path, query) = head.target().split_once('?').unzip();
    let target = Target {
        form: Form::Origin,
        authority: None,
        path: Cow::Borrowed(path.unwrap_or(head.target())),
        is_plain: true,
        query,
    };
    let host = head
        .fields
        .get(Known::Host)
        .and_then(|host| std::str::from_utf8(host).ok());
    let view = View { head, target };
    let host = host_key(host.unwrap_or_default());
    table.find(LISTENER, &host, &view).expect("there is a route")
}

/// A table of so many routes, one of which is the request's.
pub(crate) fn table(routes: usize) -> RouteTable {
    let others = (1..routes).map(|number| {
        let host = format!("host{}.example.com", number / ROUTES_PER_HOST);
        let prefix = format!("/api/v1/{}", number % ROUTES_PER_HOST);
        spec(number, host, PathMatch::Prefix(prefix))
    });
    let ours = spec(
        0,
        "www.example.com".to_owned(),
        PathMatch::Prefix("/assets".to_owned()),
    );
    routed(others.chain([ours]).collect())
}

fn routed(specs: Vec<RouteSpec>) -> RouteTable {
    let listener = ListenerHost {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
        hostname: None,
    };
    RouteTable::build(specs, &[listener])
}

/// A route is found among so many of one hostname, each told by an expression that begins
/// like all others; ours counts last.
pub(crate) fn express(routes: usize) -> Step {
    let host = || "www.example.com".to_owned();
    let others = (1..routes).map(|number| {
        let expression = format!("/a[^/]*/app/{number}/[a-z.0-9]+[.]json");
        spec(
            number,
            host(),
            PathMatch::Regex(anchored(&expression).expect("an expression")),
        )
    });
    let ours = PathMatch::Regex(anchored("/a[^/]*/app/[a-z.0-9]+[.]js").expect("an expression"));
    let (table, head) = (
        routed(others.chain([spec(0, host(), ours)]).collect()),
        heads::request(),
    );
    Box::new(move || {
        black_box(matched(&table, black_box(&head)));
    })
}

fn spec(number: usize, host: String, path: PathMatch) -> RouteSpec {
    let action = Route {
        name: format!("httproute/default/route-{number}/rule/0").into(),
        filters: Vec::new(),
        backends: vec![WeightedBackend {
            weight: 1,
            cluster: Some(ClusterRef(0)),
            filters: Vec::new(),
        }],
        request_timeout: None,
        per_try_timeout: None,
        retry: None,
        rate_limit: None,
    };
    RouteSpec {
        name: format!("default/route-{number}").into(),
        listeners: vec![LISTENER],
        hostnames: vec![host],
        rules: vec![RuleSpec {
            matches: vec![MatchSpec {
                path: Some(path),
                ..MatchSpec::default()
            }],
            action: Arc::new(action),
        }],
        age_rank: number as u64,
    }
}
