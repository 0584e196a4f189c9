//! Routing over the wire: which route takes a request, and what its filters make of it.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::harness::{Gateway, Message, Upstream, eventually, free_port, reply, yaml};

/// Upstreams that answer with their own name.
struct Named {
    upstreams: Vec<(&'static str, Upstream)>,
}

impl Named {
    fn new(names: &[&'static str]) -> Self {
        Self {
            upstreams: names.iter().map(|name| (*name, Upstream::saying(name))).collect(),
        }
    }

    fn backends(&self) -> String {
        self.upstreams
            .iter()
            .map(|(name, upstream)| yaml::backend(name, &[upstream.address]))
            .collect()
    }

    fn requests(&self, name: &str) -> Vec<Message> {
        self.upstreams
            .iter()
            .find(|(found, _)| *found == name)
            .expect("a name")
            .1
            .requests()
    }
}

fn rule(matches: &str, backend: &str) -> String {
    format!(
        "  - matches: [{matches}]\n    backendRefs: [{}]\n",
        yaml::reference(backend)
    )
}

#[track_caller]
fn gateway(named: &Named, routes: &str) -> Gateway {
    Gateway::configured(&format!(
        "{}{routes}{}",
        yaml::gateway(free_port()),
        named.backends()
    ))
}

#[test]
fn the_most_specific_match_wins() {
    let named = Named::new(&["exact", "long", "short", "regex", "header", "query", "method"]);
    let rules = [
        rule("{path: {type: PathPrefix, value: /}}", "short"),
        rule("{path: {type: PathPrefix, value: /shop}}", "long"),
        rule("{path: {type: Exact, value: /shop/cart}}", "exact"),
        rule(
            "{path: {type: RegularExpression, value: '/item-[0-9]+'}}",
            "regex",
        ),
        rule(
            "{path: {type: PathPrefix, value: /shop}, headers: [{name: X-Beta, value: 'yes'}]}",
            "header",
        ),
        rule(
            "{path: {type: PathPrefix, value: /shop}, queryParams: [{name: v, value: '2'}]}",
            "query",
        ),
        rule(
            "{path: {type: PathPrefix, value: /shop}, method: DELETE}",
            "method",
        ),
    ];
    let gateway = gateway(&named, &yaml::route("all", &rules.concat()));
    for (request, expected) in [
        ("GET / HTTP/1.1\r\n", "short"),
        ("GET /shop HTTP/1.1\r\n", "long"),
        ("GET /shop/ HTTP/1.1\r\n", "long"),
        ("GET /shop/x HTTP/1.1\r\n", "long"),
        ("GET /shopping HTTP/1.1\r\n", "short"),
        ("GET /shop/cart HTTP/1.1\r\n", "exact"),
        ("GET /shop/cart?a=b HTTP/1.1\r\n", "exact"),
        ("GET /shop/cart/ HTTP/1.1\r\n", "long"),
        ("GET /item-42 HTTP/1.1\r\n", "regex"),
        ("GET /item-x HTTP/1.1\r\n", "short"),
        ("GET /shop HTTP/1.1\r\nx-beta: yes\r\n", "header"),
        ("GET /shop HTTP/1.1\r\nx-beta: yesno\r\n", "long"),
        ("GET /shop?v=2 HTTP/1.1\r\n", "query"),
        ("GET /shop?v=22 HTTP/1.1\r\n", "long"),
        ("DELETE /shop HTTP/1.1\r\n", "method"),
        ("DELETE /shop HTTP/1.1\r\nX-Beta: yes\r\n", "method"),
    ] {
        assert_eq!(
            gateway.ask(format!("{request}Host: a\r\n\r\n")).text(),
            expected,
            "{request:?}"
        );
    }
}

#[test]
fn hosts_match_exactly_before_by_wildcard_before_any() {
    let named = Named::new(&["exact", "wild", "any"]);
    let routes = [
        yaml::route_for("any", "[]", &yaml::to("any")),
        yaml::route_for("wild", "['*.example.com']", &yaml::to("wild")),
        yaml::route_for("exact", "[shop.example.com]", &yaml::to("exact")),
    ];
    let gateway = gateway(&named, &routes.concat());
    for (host, expected) in [
        ("shop.example.com", "exact"),
        ("SHOP.Example.COM", "exact"),
        ("shop.example.com:8080", "exact"),
        ("shop.example.com.", "exact"),
        ("blog.example.com", "wild"),
        ("a.b.example.com", "wild"),
        ("example.com", "any"),
        ("other.org", "any"),
    ] {
        assert_eq!(gateway.get(host, "/").text(), expected, "{host}");
    }
}

#[test]
fn listeners_of_one_port_are_told_apart_by_host() {
    let named = Named::new(&["left", "right"]);
    let port = free_port();
    let listeners = format!(
        "  - {{name: left, protocol: HTTP, port: {port}, hostname: left.example}}\n  \
         - {{name: right, protocol: HTTP, port: {port}, hostname: '*.right.example'}}\n"
    );
    let text = format!(
        "{}{}{}{}",
        yaml::gateway_with(&listeners),
        yaml::route_for("left", "[left.example]", &yaml::to("left")),
        yaml::route_for("right", "['*.right.example']", &yaml::to("right")),
        named.backends()
    );
    let gateway = Gateway::configured(&text);
    assert_eq!(gateway.get("left.example", "/").text(), "left");
    assert_eq!(gateway.get("a.right.example", "/").text(), "right");
    assert_eq!(gateway.get("other.example", "/").status(), 404);
}

#[test]
fn field_filters_edit_both_heads() {
    let upstream = Upstream::answering(|_| {
        "HTTP/1.1 200 OK\r\nX-Gone: 1\r\nX-Set: old\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let rules = format!(
        "  - filters:\n    - type: RequestHeaderModifier\n      requestHeaderModifier: {{set: [{{name: X-Set, value: new}}], \
         add: [{{name: X-Add, value: more}}], remove: [X-Gone]}}\n    - type: ResponseHeaderModifier\n      \
         responseHeaderModifier: {{set: [{{name: X-Set, value: new}}], add: [{{name: X-Add, value: more}}], remove: [X-Gone]}}\n    \
         backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let text = yaml::ruled(free_port(), &rules, &[upstream.address]);
    let gateway = Gateway::configured(&text);
    let told = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Set: old\r\nX-Add: one\r\nX-Gone: 1\r\n\r\n");
    for message in [upstream.only_request(), told.clone()] {
        assert_eq!(message.all("x-set").collect::<Vec<_>>(), ["new"], "{message:?}");
        assert_eq!(message.field("x-gone"), None, "{message:?}");
        assert_eq!(message.all("x-add").last(), Some("more"), "{message:?}");
    }
    assert_eq!(
        upstream
            .only_request()
            .all("x-add")
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .collect::<Vec<_>>(),
        ["one", "more"]
    );
}

#[test]
fn redirects_are_answered_here() {
    let named = Named::new(&["app"]);
    let rules = "  - matches: [{path: {type: PathPrefix, value: /old}}]\n    filters: [{type: RequestRedirect, requestRedirect: \
                 {scheme: https, hostname: new.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}}]\n  \
                 - matches: [{path: {type: Exact, value: /full}}]\n    filters: [{type: RequestRedirect, requestRedirect: \
                 {path: {type: ReplaceFullPath, replaceFullPath: /else}, port: 8443}}]\n";
    let gateway = gateway(&named, &yaml::route("r", rules));
    let told = gateway.get("a.example", "/old/page?q=1");
    assert_eq!(
        (told.status(), told.field("location")),
        (301, Some("https://new.example/new/page?q=1")),
        "{told:?}"
    );
    let told = gateway.get("a.example", "/old");
    assert_eq!(told.field("location"), Some("https://new.example/new"));
    let told = gateway.get("a.example", "/full?q=1");
    assert_eq!(
        (told.status(), told.field("location")),
        (302, Some("http://a.example:8443/else?q=1")),
        "{told:?}"
    );
    assert!(named.requests("app").is_empty());
}

#[test]
fn rewrites_change_path_and_host_upstream() {
    let upstream = Upstream::answering(|request| {
        reply(&format!(
            "{} {}",
            request.field("host").unwrap_or_default(),
            request.target()
        ))
    });
    let rules = format!(
        "  - matches: [{{path: {{type: PathPrefix, value: /api}}}}]\n    filters: [{{type: URLRewrite, urlRewrite: \
         {{hostname: inner.example, path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}}}]\n    backendRefs: [{app}]\n  \
         - matches: [{{path: {{type: PathPrefix, value: /one}}}}]\n    filters: [{{type: URLRewrite, urlRewrite: \
         {{path: {{type: ReplaceFullPath, replaceFullPath: /two}}}}}}]\n    backendRefs: [{app}]\n",
        app = yaml::reference("app")
    );
    let text = yaml::ruled(free_port(), &rules, &[upstream.address]);
    let gateway = Gateway::configured(&text);
    assert_eq!(
        gateway.get("a.example", "/api/users?q=1").text(),
        "inner.example /users?q=1"
    );
    assert_eq!(gateway.get("a.example", "/api").text(), "inner.example /");
    assert_eq!(
        gateway.get("a.example", "/one/x?q=1").text(),
        "a.example /two?q=1"
    );
}

#[test]
fn weights_share_out_the_requests() {
    let named = Named::new(&["most", "some", "none"]);
    let rules = format!(
        "  - backendRefs: [{}, {}, {}]\n",
        yaml::weighted("most", 90),
        yaml::weighted("some", 10),
        yaml::weighted("none", 0)
    );
    let gateway = gateway(&named, &yaml::route("r", &rules));
    let mut client = gateway.connect();
    let mut counts: HashMap<String, u32> = HashMap::new();
    for _ in 0..500 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        *counts.entry(client.response().text()).or_default() += 1;
    }
    assert_eq!(counts.get("none"), None);
    assert!((400..=490).contains(&counts["most"]), "{counts:?}");
}

#[test]
fn a_mirror_gets_a_copy_and_its_answer_is_thrown_away() {
    let named = Named::new(&["app"]);
    let mirror = Upstream::answering(|_| "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n".to_owned());
    let rules = format!(
        "  - filters: [{{type: RequestMirror, requestMirror: {{backendRef: {}}}}}]\n    backendRefs: [{}]\n",
        yaml::reference("mirror"),
        yaml::reference("app")
    );
    let gateway = gateway(
        &named,
        &format!(
            "{}{}",
            yaml::route("r", &rules),
            yaml::backend("mirror", &[mirror.address])
        ),
    );
    let told = gateway.ask("POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ncopy");
    assert_eq!((told.status(), told.text().as_str()), (200, "app"));
    let copy = eventually("the copy", || mirror.requests().pop());
    assert_eq!(
        (copy.method(), copy.target(), copy.text().as_str()),
        ("POST", "/m", "copy")
    );
}

/// A gateway that mirrors to `mirror` what it forwards to `app`, of which it keeps a replay copy of 8 KiB.
fn mirroring(app: &Upstream, mirror: &Upstream) -> Gateway {
    let rules = format!(
        "  - filters: [{{type: RequestMirror, requestMirror: {{backendRef: {}}}}}]\n    backendRefs: [{}]\n",
        yaml::reference("mirror"),
        yaml::reference("app")
    );
    Gateway::configured(&format!(
        "{}{}{}{}{}",
        yaml::gateway(free_port()),
        yaml::route("r", &rules),
        yaml::backend("app", &[app.address]),
        yaml::backend("mirror", &[mirror.address]),
        yaml::policy("app", "  keepAlive: {replayBuffer: 8Ki}\n"),
    ))
}

#[test]
fn a_mirror_gets_its_copy_before_the_primary_answers() {
    let (answer, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let app = Upstream::answering(move |_| {
        let _ = waits.lock().expect("no panic").recv();
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\napp".to_owned()
    });
    let mirror = Upstream::answering(|_| "HTTP/1.1 503 Broken\r\nContent-Length: 0\r\n\r\n".to_owned());
    let gateway = mirroring(&app, &mirror);
    let mut client = gateway.connect();
    // Its body comes later than its head, and its answer after the mirror has all of it.
    client.send("POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nco\r\n");
    eventually("the primary", || (app.connections() > 0).then_some(()));
    assert_eq!(mirror.requests().len(), 0, "half a request is not mirrored");
    client.send("2\r\npy\r\n0\r\n\r\n");
    let copy = eventually("the copy", || mirror.requests().pop());
    assert_eq!((copy.target(), copy.text().as_str()), ("/m", "copy"));
    answer.send(()).expect("the primary waits");
    assert_eq!(client.response().text(), "app");
    eventually("its response's count", || {
        (gateway.stat("mirror.upstream_rq_5xx") == 1).then_some(())
    });
    assert_eq!(gateway.stat("mirror.upstream_rq_mirror"), 1);
    assert_eq!(gateway.stat("mirror.upstream_rq_mirror_failed"), 0);
}

#[test]
fn copies_that_are_not_sent_or_not_answered_are_counted() {
    let app = Upstream::saying("app");
    let mirror = Upstream::scripted(|_, peer| drop(peer));
    let gateway = mirroring(&app, &mirror);
    let body = "x".repeat(100_000);
    let large = gateway.ask(format!(
        "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(large.text(), "app");
    eventually("the one that is too large", || {
        (gateway.stat("mirror.upstream_rq_mirror_too_large") == 1).then_some(())
    });
    assert_eq!(gateway.get("a", "/").text(), "app");
    eventually("the one that got no response", || {
        (gateway.stat("mirror.upstream_rq_mirror_failed") == 1).then_some(())
    });
    assert_eq!(gateway.stat("mirror.upstream_rq_mirror"), 1);
}

#[test]
fn a_mirror_that_hangs_holds_nobody_up() {
    let named = Named::new(&["app"]);
    let mirror = Upstream::scripted(|_, mut peer| {
        peer.end();
    });
    let rules = format!(
        "  - filters: [{{type: RequestMirror, requestMirror: {{backendRef: {}}}}}]\n    backendRefs: [{}]\n",
        yaml::reference("mirror"),
        yaml::reference("app")
    );
    let gateway = gateway(
        &named,
        &format!(
            "{}{}",
            yaml::route("r", &rules),
            yaml::backend("mirror", &[mirror.address])
        ),
    );
    let since = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(gateway.get("a", "/").text(), "app");
    }
    assert!(since.elapsed() < std::time::Duration::from_secs(1));
}

#[test]
fn cors_answers_preflights_and_marks_answers() {
    let named = Named::new(&["app"]);
    let rules = format!(
        "  - filters: [{{type: CORS, cors: {{allowOrigins: ['https://*.shop.example', 'https://one.example'], \
         allowCredentials: true, allowMethods: [GET, PUT], allowHeaders: [X-A], exposeHeaders: [X-B], maxAge: 60}}}}]\n    \
         backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let gateway = gateway(&named, &yaml::route("r", &rules));
    let preflight = |origin: &str| {
        gateway.ask(format!(
            "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\
             Access-Control-Request-Headers: x-a\r\n\r\n"
        ))
    };
    for origin in ["https://one.example", "https://www.shop.example"] {
        let told = preflight(origin);
        assert!(matches!(told.status(), 200 | 204), "{told:?}");
        assert_eq!(
            told.field("access-control-allow-origin"),
            Some(origin),
            "{told:?}"
        );
        assert_eq!(told.field("access-control-allow-credentials"), Some("true"));
        assert!(
            told.field("access-control-allow-methods")
                .is_some_and(|methods| methods.contains("PUT")),
            "{told:?}"
        );
        assert_eq!(told.field("access-control-max-age"), Some("60"));
    }
    assert_eq!(
        preflight("https://evil.example").field("access-control-allow-origin"),
        None
    );
    assert!(
        named
            .requests("app")
            .iter()
            .all(|request| request.method() != "OPTIONS"
                || request.field("origin") == Some("https://evil.example"))
    );

    let told = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://one.example\r\n\r\n");
    assert_eq!(told.text(), "app");
    assert_eq!(
        told.field("access-control-allow-origin"),
        Some("https://one.example"),
        "{told:?}"
    );
    assert!(
        told.field("access-control-expose-headers")
            .is_some_and(|fields| fields.eq_ignore_ascii_case("x-b")),
        "{told:?}"
    );
}

#[test]
fn a_backend_that_does_not_exist_answers_500_for_its_share() {
    let named = Named::new(&["app"]);
    let rules = format!("  - backendRefs: [{}]\n", yaml::reference("nowhere"));
    let text = format!(
        "{}{}{}",
        yaml::gateway(free_port()),
        yaml::route("r", &rules),
        named.backends()
    );
    let checked = crate::command_line::check_text(&text);
    assert!(
        checked.contains("nowhere"),
        "a reference to nothing must be said: {checked}"
    );
}

#[test]
fn requests_are_spread_over_the_endpoints_of_a_backend() {
    let named = Named::new(&["one", "two"]);
    let endpoints: Vec<SocketAddr> = named
        .upstreams
        .iter()
        .map(|(_, upstream)| upstream.address)
        .collect();
    let text = yaml::ruled(free_port(), &yaml::to("app"), &endpoints);
    let gateway = Gateway::configured(&text);
    let mut client = gateway.connect();
    for _ in 0..100 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response();
    }
    for name in ["one", "two"] {
        let share = named.requests(name).len();
        assert!(share > 10, "{name} got {share} of 100");
    }
}
