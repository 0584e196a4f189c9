//! Fields on their way through: whose word is believed, what rules see, and who has the last word.

use crate::harness::{Gateway, Message, Upstream, free_port, reply, yaml};

/// A ClientTrafficPolicy of the Gateway; `spec` are its other lines, indented by two.
fn client_policy(spec: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: clients}}\nspec:\n  \
         targetRefs: [{{kind: Gateway, name: edge}}]\n{spec}---\n"
    )
}

const ONE_HOP: &str = "  clientIPDetection: {xForwardedFor: {numTrustedHops: 1}}\n";

/// A gateway before one Backend, `app`, with these rules and a client policy if `spec` is not empty.
#[track_caller]
fn gateway(upstream: &Upstream, rules: &str, spec: &str) -> Gateway {
    let policy = if spec.is_empty() {
        String::new()
    } else {
        client_policy(spec)
    };
    Gateway::configured(&format!(
        "{}{}{}{policy}",
        yaml::gateway(free_port()),
        yaml::route("all", rules),
        yaml::backend("app", &[upstream.address])
    ))
}

fn ok(_: &Message) -> String {
    reply("ok")
}

/// What the upstream gets of this request, through a gateway with this client policy.
#[track_caller]
fn sent(fields: &str, spec: &str) -> Message {
    let upstream = Upstream::answering(ok);
    let gateway = gateway(&upstream, &yaml::to("app"), spec);
    let answer = gateway.ask(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
    assert_eq!(answer.status(), 200);
    upstream.only_request()
}

const CLAIMS: [&str; 20] = [
    "Forwarded: for=6.6.6.6",
    "X-Real-IP: 6.6.6.6",
    "X-Forwarded-Client-Cert: By=spiffe://evil",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Server: evil",
    "X-Forwarded-Ssl: on",
    "X-Forwarded-Scheme: https",
    "X-Forwarded-Uri: /admin",
    "X-Forwarded-Method: DELETE",
    "X-Envoy-Internal: true",
    "X-Envoy-External-Address: 6.6.6.6",
    "X-Envoy-Original-Path: /admin",
    "X-Envoy-Upstream-Rq-Timeout-Ms: 1",
    "X-Envoy-Expected-Rq-Timeout-Ms: 1",
    "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin",
    "x-original-uri: /admin",
    "Proxy: http://evil",
    "Front-End-Https: on",
];

fn name(line: &str) -> String {
    line.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

#[test]
fn what_only_a_proxy_may_say_is_dropped_from_strangers() {
    let fields = CLAIMS.map(|line| format!("{line}\r\n")).concat();
    let got = sent(&fields, "");
    for line in CLAIMS {
        assert_eq!(got.field(&name(line)), None, "{line} reached the upstream");
    }
    let kept = sent(&fields, ONE_HOP);
    let off = sent(&fields, "  headers: {sanitize: false}\n");
    for line in CLAIMS {
        assert!(kept.field(&name(line)).is_some(), "{line} of a trusted proxy");
        assert!(off.field(&name(line)).is_some(), "{line}, sanitizing off");
    }
}

#[test]
fn aliases_of_what_we_say_never_pass_and_other_marks_do() {
    let fields = "X_Forwarded_For: 6.6.6.6\r\nX.Forwarded.Proto: https\r\nX_Real_IP: 6.6.6.6\r\n\
                  Transfer_Encoding: chunked\r\nContent_Length: 7\r\nmy_field: 1\r\nmy.field: 2\r\n";
    let got = sent(fields, "");
    for gone in [
        "x_forwarded_for",
        "x.forwarded.proto",
        "x_real_ip",
        "transfer_encoding",
        "content_length",
    ] {
        assert_eq!(got.field(gone), None, "{gone}");
    }
    assert_eq!(
        (got.field("my_field"), got.field("my.field")),
        (Some("1"), Some("2"))
    );

    let dropped = sent(fields, "  headers: {withUnderscoresAction: DropHeader}\n");
    assert_eq!(
        (dropped.field("my_field"), dropped.field("my.field")),
        (None, Some("2"))
    );

    let upstream = Upstream::answering(ok);
    let strict = "  headers: {withUnderscoresAction: RejectRequest}\n";
    let gateway = gateway(&upstream, &yaml::to("app"), strict);
    assert_eq!(
        gateway
            .ask("GET / HTTP/1.1\r\nHost: a\r\nmy_field: 1\r\n\r\n")
            .status(),
        400
    );
    assert_eq!(
        gateway
            .ask("GET / HTTP/1.1\r\nHost: a\r\nmy.field: 1\r\n\r\n")
            .status(),
        200
    );
}

#[test]
fn another_spelling_of_a_field_does_not_get_round_an_owners_filter() {
    let upstream = Upstream::answering(ok);
    let rules = "  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: \
                 {set: [{name: X-User, value: nobody}], remove: [X-Role]}}]\n    backendRefs: \
                 [{group: evenkeel.dev, kind: Backend, name: app}]\n";
    let gateway = gateway(&upstream, rules, "");
    gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nX_User: root\r\nx-role: admin\r\nX.Role: admin\r\n\r\n");
    let got = upstream.only_request();
    assert_eq!(got.field("x-user"), Some("nobody"));
    for gone in ["x_user", "x-role", "x.role"] {
        assert_eq!(got.field(gone), None, "{gone}");
    }
}

fn filter(kind: &str, edits: &str) -> String {
    let field = format!("{}{}", kind[..1].to_ascii_lowercase(), &kind[1..]);
    format!(
        "  - filters: [{{type: {kind}, {field}: {{{edits}}}}}]\n    backendRefs: [{}]\n",
        yaml::reference("app")
    )
}

#[test]
fn a_redirect_speaks_the_clients_scheme_and_names_no_inner_port() {
    let upstream = Upstream::answering(ok);
    let rules = "  - matches: [{path: {value: /old}}]\n    filters: [{type: RequestRedirect, requestRedirect: \
                 {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]\n  \
                 - matches: [{path: {value: /host}}]\n    filters: [{type: RequestRedirect, requestRedirect: \
                 {hostname: b.test}}]\n";
    let location = |spec: &str, path: &str, host: &str, fields: &str| {
        let gateway = gateway(&upstream, rules, spec);
        let answer = gateway.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        let port = format!(":{}", gateway.address.port());
        answer.field("location").unwrap().replace(&port, ":INNER")
    };
    let https = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\n";
    let by_network = "  clientIPDetection: {xForwardedFor: {trustedCIDRs: [127.0.0.0/8]}}\n";
    let others = "  clientIPDetection: {xForwardedFor: {trustedCIDRs: [10.0.0.0/8]}}\n";
    for trusted in [ONE_HOP, by_network] {
        assert_eq!(
            location(trusted, "/old/x", "a.test", https),
            "https://a.test/new/x"
        );
        assert_eq!(location(trusted, "/host", "a.test", https), "https://b.test/host");
        assert_eq!(
            location(
                trusted,
                "/host",
                "a.test",
                &format!("{https}X-Forwarded-Port: 8443\r\n")
            ),
            "https://b.test:8443/host"
        );
        assert_eq!(
            location(trusted, "/host", "a.test:8443", https),
            "https://b.test:8443/host"
        );
        assert_eq!(location(trusted, "/host", "a.test", ""), "http://b.test/host");
    }
    for stranger in ["", others] {
        assert_eq!(
            location(stranger, "/old/x", "a.test", https),
            "http://a.test:INNER/new/x"
        );
    }
}

#[test]
fn rules_see_what_is_forwarded_and_nothing_else() {
    let upstream = Upstream::answering(ok);
    let matches = |header: &str| {
        format!(
            "  - matches: [{{headers: [{header}]}}]\n    backendRefs: [{}]\n",
            yaml::reference("app")
        )
    };
    let status = |header: &str, fields: &str, spec: &str| {
        let gateway = gateway(&upstream, &matches(header), spec);
        let answer = gateway.ask(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
        answer.status()
    };
    let exact = |name: &str, value: &str| format!("{{name: {name}, value: '{value}'}}");
    let any = |name: &str| format!("{{name: {name}, type: RegularExpression, value: '.+'}}");
    // What we say ourselves.
    assert_eq!(status(&exact("X-Forwarded-Proto", "http"), "", ""), 200);
    assert_eq!(
        status(
            &exact("X-Forwarded-Host", "a.test"),
            "X-Forwarded-Host: b\r\n",
            ""
        ),
        200
    );
    assert_eq!(status(&exact("X-Forwarded-For", "127.0.0.1"), "", ""), 200);
    assert_eq!(status(&any("X-Request-Id"), "", ""), 200);
    assert_eq!(status(&exact("Via", "1.1 evenkeel"), "", ""), 200);
    // What a stranger says in our name.
    assert_eq!(
        status(
            &exact("X-Forwarded-Proto", "https"),
            "X-Forwarded-Proto: https\r\n",
            ""
        ),
        404
    );
    assert_eq!(
        status(
            &exact("X-Forwarded-Proto", "https"),
            "X-Forwarded-Proto: https\r\n",
            ONE_HOP
        ),
        200
    );
    assert_eq!(status(&any("X-Real-Ip"), "X-Real-Ip: 6.6.6.6\r\n", ""), 404);
    assert_eq!(
        status(&any("X-Envoy-Internal"), "X-Envoy-Internal: true\r\n", ""),
        404
    );
    // What does not go on.
    assert_eq!(
        status(&any("X-Mine"), "X-Mine: 1\r\nConnection: X-Mine\r\n", ""),
        404
    );
    assert_eq!(status(&any("X-Mine"), "X-Mine: 1\r\n", ""), 200);
    assert_eq!(status(&any("Keep-Alive"), "Keep-Alive: timeout=5\r\n", ""), 404);
    assert_eq!(
        status(&any("Proxy-Authorization"), "Proxy-Authorization: x\r\n", ""),
        404
    );
    assert_eq!(status(&any("Connection"), "Connection: close\r\n", ""), 404);
    assert_eq!(status(&any("Upgrade"), "Upgrade: websocket\r\n", ""), 404);
    let upgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
    assert_eq!(status(&exact("Upgrade", "websocket"), upgrade, ""), 200);
    assert_eq!(status(&exact("Connection", "upgrade"), upgrade, ""), 200);
}

#[test]
fn selectors_of_a_limit_see_what_is_forwarded_too() {
    let upstream = Upstream::answering(ok);
    let limit = "apiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: limit}\nspec:\n  \
                 targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: all}]\n  rateLimit: \
                 {type: Local, local: {rules: [{clientSelectors: [{headers: [{name: X-Mine, value: a}]}], \
                 limit: {requests: 1, unit: Hour}}]}}\n";
    let yaml = yaml::simple(free_port(), upstream.address, "");
    let gateway = Gateway::configured(&format!("{yaml}{limit}"));
    let status = |fields: &str| {
        let answer = gateway.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        answer.status()
    };
    for _ in 0..3 {
        assert_eq!(status("X-Mine: a\r\nConnection: X-Mine\r\n"), 200);
    }
    assert_eq!(status("X-Mine: a\r\n"), 200);
    assert_eq!(status("X-Mine: a\r\n"), 429);
}

#[test]
fn an_owners_filter_has_the_last_word_on_what_we_write_in_requests() {
    let fields = [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Request-Id",
        "Via",
        "X-Envoy-Attempt-Count",
        "X-Envoy-Internal",
        "Forwarded",
        "Proxy-Authorization",
        "Max-Forwards",
    ];
    for field in fields {
        let upstream = Upstream::answering(ok);
        let set = filter(
            "RequestHeaderModifier",
            &format!("set: [{{name: {field}, value: '7'}}]"),
        );
        gateway(&upstream, &set, "").ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let got = upstream.only_request();
        assert_eq!(
            got.all(&field.to_ascii_lowercase()).collect::<Vec<_>>(),
            ["7"],
            "set {field}"
        );

        let upstream = Upstream::answering(ok);
        let add = filter(
            "RequestHeaderModifier",
            &format!("add: [{{name: {field}, value: '7'}}]"),
        );
        gateway(&upstream, &add, "").ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let got = upstream.only_request();
        assert_eq!(
            got.all(&field.to_ascii_lowercase()).last(),
            Some("7"),
            "add {field}"
        );

        let upstream = Upstream::answering(ok);
        let remove = filter("RequestHeaderModifier", &format!("remove: [{field}]"));
        gateway(&upstream, &remove, "").ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let got = upstream.only_request();
        assert_eq!(got.field(&field.to_ascii_lowercase()), None, "remove {field}");
    }
}

#[test]
fn an_attempt_count_of_the_owners_stays_over_attempts() {
    let upstream = Upstream::answering(|_| "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned());
    let rule = "  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: \
                {set: [{name: x-envoy-attempt-count, value: '7'}]}}]\n    retry: {codes: [503], attempts: 1, backoff: 1ms}\n    \
                backendRefs: [{group: evenkeel.dev, kind: Backend, name: app}]\n";
    let gateway = gateway(&upstream, rule, "");
    assert_eq!(gateway.get("a", "/").status(), 503);
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.field("x-envoy-attempt-count"), Some("7"));
    }
}

#[test]
fn an_owners_filter_has_the_last_word_on_what_we_write_in_responses() {
    let fields = [
        "Via",
        "Date",
        "Server",
        "X-Envoy-Upstream-Service-Time",
        "X-Request-Id",
        "Proxy-Authenticate",
        "Keep",
    ];
    for field in fields {
        let upstream = Upstream::replying(
            "HTTP/1.1 200 OK\r\nServer: theirs\r\nKeep: 1\r\nConnection: keep\r\nContent-Length: 0\r\n\r\n",
        );
        let lower = field.to_ascii_lowercase();
        let set = filter(
            "ResponseHeaderModifier",
            &format!("set: [{{name: {field}, value: '7'}}]"),
        );
        let got = gateway(&upstream, &set, "").get("a", "/");
        assert_eq!(got.all(&lower).collect::<Vec<_>>(), ["7"], "set {field}");
        let remove = filter("ResponseHeaderModifier", &format!("remove: [{field}]"));
        let got = gateway(&upstream, &remove, "").get("a", "/");
        assert_eq!(got.field(&lower), None, "remove {field}");
    }
}

/// The filters of a rule that answers cross-origin requests and adds a field of its own, with more of them.
fn open_rule(more: &str, rest: &str) -> String {
    format!(
        "  - filters: [{{type: CORS, cors: {{allowOrigins: ['https://a.test'], allowMethods: [GET, POST]}}}}, \
         {{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: Strict-Transport-Security, \
         value: max-age=1}}], remove: [Server]}}}}{more}]\n{rest}"
    )
}

#[track_caller]
fn says_the_owners_fields(answer: &Message, status: u16) {
    assert_eq!(answer.status(), status);
    assert_eq!(
        answer.field("access-control-allow-origin"),
        Some("https://a.test"),
        "{status}"
    );
    assert_eq!(
        answer.field("strict-transport-security"),
        Some("max-age=1"),
        "{status}"
    );
    assert_eq!(answer.field("server"), None, "{status}");
}

const CROSS: &str = "GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n\r\n";

#[test]
fn every_response_to_a_matched_request_has_the_owners_fields() {
    let app = format!("    backendRefs: [{}]\n", yaml::reference("app"));
    let silent = Upstream::counting();
    let working = Upstream::answering(ok);
    let nobody = yaml::backend(
        "app",
        &[std::net::SocketAddr::from(([127, 0, 0, 1], free_port()))],
    );

    let ask = |rules: &str, backend: &str, more: &str| {
        let routes = yaml::route("all", rules);
        let gateway = Gateway::configured(&format!("{}{routes}{backend}{more}", yaml::gateway(free_port())));
        gateway.ask(CROSS);
        gateway.ask(CROSS)
    };
    let of = |upstream: &Upstream| yaml::backend("app", &[upstream.address]);
    says_the_owners_fields(&ask(&open_rule("", &app), &of(&working), ""), 200);
    says_the_owners_fields(&ask(&open_rule("", &app), &nobody, ""), 503);
    let timeout = format!("{app}    timeouts: {{request: 50ms}}\n");
    says_the_owners_fields(&ask(&open_rule("", &timeout), &of(&silent), ""), 504);
    says_the_owners_fields(&ask(&open_rule("", ""), &of(&working), ""), 500);
    let redirect = ", {type: RequestRedirect, requestRedirect: {scheme: https}}";
    says_the_owners_fields(&ask(&open_rule(redirect, ""), &of(&working), ""), 302);
    let limit = "apiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: limit}\nspec:\n  \
                 targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: all}]\n  rateLimit: \
                 {type: Local, local: {rules: [{limit: {requests: 1, unit: Hour}}]}}\n";
    says_the_owners_fields(&ask(&open_rule("", &app), &of(&working), limit), 429);
    let broken = Upstream::replying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab");
    says_the_owners_fields(&ask(&open_rule("", &app), &of(&broken), ""), 502);

    let elsewhere =
        open_rule("", &app).replace("  - filters", "  - matches: [{path: {value: /x}}]\n    filters");
    let unmatched = ask(&elsewhere, &of(&working), "");
    assert_eq!(unmatched.status(), 404);
    assert_eq!(unmatched.field("access-control-allow-origin"), None);
    assert_eq!(unmatched.field("strict-transport-security"), None);
}

#[test]
fn a_preflight_is_answered_by_the_rule_of_the_method_asked_for() {
    let named = ["one", "two"].map(Upstream::saying);
    let rule = |matches: &str, cors: &str, backend: &str| {
        let filters = if cors.is_empty() {
            String::new()
        } else {
            format!(
                "    filters: [{{type: CORS, cors: {{allowOrigins: ['https://a.test'], allowMethods: [{cors}]}}}}]\n"
            )
        };
        format!(
            "  - matches: [{{path: {{value: /api}}, {matches}}}]\n{filters}    backendRefs: [{}]\n",
            yaml::reference(backend)
        )
    };
    let rules = [
        rule("method: POST", "POST", "one"),
        rule("method: DELETE", "DELETE", "one"),
        rule("method: PUT", "", "one"),
        "  - matches: [{path: {value: /own}, method: OPTIONS}]\n    backendRefs: [{group: evenkeel.dev, kind: Backend, name: two}]\n"
            .to_owned(),
    ];
    let gateway = Gateway::configured(&format!(
        "{}{}{}{}",
        yaml::gateway(free_port()),
        yaml::route("all", &rules.concat()),
        yaml::backend("one", &[named[0].address]),
        yaml::backend("two", &[named[1].address])
    ));
    let preflight = |path: &str, method: &str| {
        gateway.ask(format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: {method}\r\n\r\n"
        ))
    };
    for method in ["POST", "DELETE"] {
        let answer = preflight("/api", method);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.field("access-control-allow-methods"), Some(method));
        assert_eq!(
            answer.field("access-control-allow-origin"),
            Some("https://a.test")
        );
    }
    assert_eq!(preflight("/api", "PUT").status(), 404, "no CORS on that rule");
    assert_eq!(preflight("/api", "PATCH").status(), 404);
    assert_eq!(
        preflight("/own", "POST").text(),
        "two",
        "the owner answers by himself"
    );
    let no_preflight = gateway.ask("OPTIONS /api HTTP/1.1\r\nHost: a\r\nOrigin: https://a.test\r\n\r\n");
    assert_eq!(no_preflight.status(), 404, "an OPTIONS that asks for no method");
    assert_eq!(named[0].requests().len(), 0);
}

#[test]
fn names_stay_as_the_owner_wrote_them_and_values_have_variables() {
    let upstream =
        Upstream::answering(|_| "HTTP/1.1 201 Made\r\nX-Theirs: t\r\nContent-Length: 0\r\n\r\n".to_owned());
    let set = "{set: [{name: X-Set-ME, value: a}, {name: X-Client, value: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'}, \
               {name: X-Line, value: '%REQ(:METHOD)% %REQ(:SCHEME)%://%REQ(:AUTHORITY)%%REQ(:PATH)% %PROTOCOL% 100%%'}, \
               {name: X-Agent, value: '%REQ(X-None?User-Agent):4%'}, {name: X-Nothing, value: '%REQ(X-None)%'}, \
               {name: X-Direct, value: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%'}], add: [{name: X-Add-ME, value: b}]}";
    let told =
        "{set: [{name: X-Told-ME, value: '%RESPONSE_CODE% %RESP(X-Theirs)% %REQ(:PATH)% %ROUTE_NAME%'}]}";
    let rules = format!(
        "  - filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {set}}}, \
         {{type: ResponseHeaderModifier, responseHeaderModifier: {told}}}]\n    backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let gateway = gateway(&upstream, &rules, ONE_HOP);
    let answer = gateway.ask(
        "GET /a?b HTTP/1.0\r\nHost: a.test\r\nUser-Agent: curl/8\r\nX-Forwarded-For: 192.0.2.1\r\nX-Nothing: 1\r\n\r\n",
    );
    let got = upstream.only_request();
    let line = |name: &str| {
        got.fields
            .iter()
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(line("X-Set-ME"), Some("a"));
    assert_eq!(line("X-Add-ME"), Some("b"));
    assert_eq!(line("X-Client"), Some("192.0.2.1"));
    assert_eq!(line("X-Direct"), Some("127.0.0.1"));
    assert_eq!(line("X-Line"), Some("GET http://a.test/a?b HTTP/1.0 100%"));
    assert_eq!(line("X-Agent"), Some("curl"));
    assert_eq!(got.field("x-nothing"), None);
    let told = answer.fields.iter().find(|(sent, _)| sent == "X-Told-ME");
    assert_eq!(
        told.map(|(_, value)| value.as_str()),
        Some("201 t /a?b httproute/default/all/rule/0")
    );
}
