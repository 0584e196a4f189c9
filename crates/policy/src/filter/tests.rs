use super::*;

/// Fields as a test holds them.
#[derive(Debug, Default, PartialEq)]
struct Head(Vec<(String, String)>);

impl Facts for Head {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) {
        let field = |name: &str| self.0.iter().find(|(held, _)| held.eq_ignore_ascii_case(name));
        match variable {
            Variable::Request(field_of) | Variable::Response(field_of) => {
                if let Some((_, value)) = field(&field_of.name) {
                    out.extend_from_slice(value.as_bytes());
                }
            }
            other => out.extend_from_slice(format!("{other:?}").as_bytes()),
        }
    }
}

impl HeadEdit for Head {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.0
            .push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(held, _)| !held.eq_ignore_ascii_case(name));
    }
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn values(fields: &[(&str, &str)]) -> Vec<(String, HeaderValue)> {
    fields
        .iter()
        .map(|&(name, value)| (name.to_owned(), HeaderValue::read(value, true).unwrap()))
        .collect()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn edits_set_then_add_then_remove() {
    let mut head = Head(pairs(&[
        ("X-Set", "old"),
        ("x-set", "older"),
        ("x-add", "1"),
        ("X-Remove", "gone"),
    ]));
    let edits = HeaderEdits {
        set: values(&[("X-Set", "new")]),
        add: values(&[("x-add", "2")]),
        remove: texts(&["x-remove", "x-absent"]),
    };
    edits.apply(&mut head, &mut Vec::new());
    assert_eq!(head.0, pairs(&[("x-add", "1"), ("X-Set", "new"), ("x-add", "2")]));
}

#[test]
fn variables_are_what_the_message_says_and_nothing_sets_no_field() {
    let mut head = Head(pairs(&[("a", "1"), ("b", "2"), ("gone", "3")]));
    let edits = HeaderEdits {
        set: values(&[
            ("x", "<%REQ(A)%-%PROTOCOL%>"),
            ("gone", "%REQ(none)%"),
            ("y", "100%% "),
        ]),
        add: values(&[("z", "%RESP(b?c):9%"), ("none", "%REQ(none)%"), ("empty", "")]),
        remove: Vec::new(),
    };
    edits.apply(&mut head, &mut Vec::new());
    let expected = [
        ("a", "1"),
        ("b", "2"),
        ("x", "<1-Protocol>"),
        ("y", "100% "),
        ("z", "2"),
        ("empty", ""),
    ];
    assert_eq!(head.0, pairs(&expected));
}

#[test]
fn a_value_is_checked_when_it_is_read() {
    for (text, at, word) in [
        ("a%", 1, "begins no variable"),
        ("%NOSUCH%", 0, "there is no variable"),
        ("ab%20c", 2, "there is no variable"),
        ("%REQ%", 0, "names no field"),
        ("%REQ()%", 0, "no field"),
        ("%REQ(a b)%", 0, "no field"),
        ("%REQ(:status)%", 0, "no field"),
        ("%REQ(a):0%", 0, "no field"),
        ("%REQ(a)", 0, "no `%` at its end"),
        ("%PROTOCOL(x)%", 0, "nothing in brackets"),
        ("%PROTOCOL", 0, "no `%` at its end"),
        ("x %RESP(a)%", 2, "not known yet"),
        ("%RESPONSE_CODE%", 0, "not known yet"),
        ("%protocol%", 0, "begins no variable"),
    ] {
        let wrong = HeaderValue::read(text, false).unwrap_err();
        assert_eq!(wrong.at, at, "{text}: {wrong:?}");
        assert!(
            wrong.message.contains(word) && !wrong.help.is_empty(),
            "{text}: {wrong:?}"
        );
    }
    for text in [
        "",
        "plain",
        "100%%",
        "%DOWNSTREAM_REMOTE_ADDRESS%",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "%DOWNSTREAM_DIRECT_REMOTE_PORT%",
        "%DOWNSTREAM_LOCAL_ADDRESS%",
        "%REQ(:METHOD)% %REQ(:path)%",
        "%REQ(X-A?:AUTHORITY):10%",
        "%ROUTE_NAME%%PROTOCOL%",
    ] {
        assert!(HeaderValue::read(text, false).is_ok(), "{text}");
    }
    assert_eq!(HeaderValue::read("100%%", false).unwrap().plain(), Some("100%"));
}

const URL: RequestUrl<'_> = RequestUrl {
    scheme: "http",
    authority: "example.com:8080",
    port: 8080,
    path: "/foo/bar",
    query: None,
    rest: Some("/bar"),
};

const KEEP: Redirect = Redirect {
    scheme: None,
    hostname: None,
    path: None,
    port: None,
    status: 302,
};

fn to_scheme(scheme: &str) -> Redirect {
    Redirect {
        scheme: Some(scheme.to_owned()),
        ..KEEP
    }
}

#[test]
fn a_prefix_is_replaced_by_whole_segments_whatever_slashes_trail() {
    for (path, prefix, replacement, expected) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ("/", "/", "/xyz", "/xyz/"),
        ("/", "/", "", "/"),
        ("/foo%2Fbar/baz", "/foo%2Fbar", "/a", "/a/baz"),
        // Not what matched: nothing is cut out of the middle of a segment.
        ("/foobar", "/foo", "/xyz", "/foobar"),
        ("*", "/", "/xyz", "*"),
    ] {
        let rewrite = Rewrite {
            hostname: None,
            path: Some(PathChange::Prefix(replacement.to_owned())),
        };
        let url = RequestUrl {
            path,
            rest: path.strip_prefix(prefix.trim_end_matches('/')),
            ..URL
        };
        let row = format!("{path} | {prefix} | {replacement}");
        assert_eq!(rewrite.target(&url).as_deref(), Some(expected), "{row}");
        let redirect = Redirect {
            path: rewrite.path,
            ..KEEP
        };
        assert_eq!(
            redirect.location(&url),
            format!("http://example.com:8080{expected}"),
            "{row}"
        );
    }
}

#[test]
fn a_rewrite_keeps_the_query_and_touches_nothing_without_a_path() {
    let full = Rewrite {
        hostname: None,
        path: Some(PathChange::Full("/one".to_owned())),
    };
    let url = RequestUrl {
        query: Some("a=1&b"),
        ..URL
    };
    assert_eq!(full.target(&url).as_deref(), Some("/one?a=1&b"));
    assert_eq!(
        full.target(&RequestUrl {
            query: Some(""),
            ..URL
        })
        .as_deref(),
        Some("/one?")
    );
    let host_alone = Rewrite {
        hostname: Some("inner".to_owned()),
        path: None,
    };
    assert_eq!(host_alone.target(&url), None);
}

#[test]
fn a_prefix_replacement_leaves_a_path_alone_that_matched_by_no_prefix() {
    let rewrite = Rewrite {
        hostname: None,
        path: Some(PathChange::Prefix("/xyz".to_owned())),
    };
    assert_eq!(
        rewrite.target(&RequestUrl { rest: None, ..URL }).as_deref(),
        Some("/foo/bar")
    );
}

#[test]
fn a_redirect_keeps_what_it_does_not_name() {
    let url = RequestUrl {
        query: Some("q=1"),
        ..URL
    };
    assert_eq!(KEEP.location(&url), "http://example.com:8080/foo/bar?q=1");
    let host = Redirect {
        hostname: Some("example.org".to_owned()),
        ..KEEP
    };
    assert_eq!(host.location(&url), "http://example.org:8080/foo/bar?q=1");
    let full = Redirect {
        path: Some(PathChange::Full("/new".to_owned())),
        ..KEEP
    };
    assert_eq!(full.location(&url), "http://example.com:8080/new?q=1");
}

#[test]
fn a_redirects_port_is_its_own_then_its_schemes_then_the_listeners() {
    let with_port = |redirect: Redirect, port| Redirect {
        port: Some(port),
        ..redirect
    };
    let at = |scheme, port| RequestUrl {
        scheme,
        port,
        authority: "example.org",
        path: "/",
        ..URL
    };
    for (redirect, url, expected) in [
        (KEEP, at("http", 80), "http://example.org/"),
        (with_port(KEEP, 80), at("http", 80), "http://example.org/"),
        (with_port(KEEP, 8080), at("http", 80), "http://example.org:8080/"),
        (to_scheme("https"), at("http", 80), "https://example.org/"),
        (
            with_port(to_scheme("https"), 443),
            at("http", 80),
            "https://example.org/",
        ),
        (
            with_port(to_scheme("https"), 8443),
            at("http", 80),
            "https://example.org:8443/",
        ),
        (KEEP, at("http", 8080), "http://example.org:8080/"),
        (with_port(KEEP, 80), at("http", 8080), "http://example.org/"),
        (to_scheme("https"), at("http", 8080), "https://example.org/"),
        (KEEP, at("https", 443), "https://example.org/"),
        (with_port(KEEP, 443), at("https", 443), "https://example.org/"),
        (
            with_port(KEEP, 8443),
            at("https", 443),
            "https://example.org:8443/",
        ),
        (to_scheme("http"), at("https", 443), "http://example.org/"),
        (
            with_port(to_scheme("http"), 80),
            at("https", 443),
            "http://example.org/",
        ),
        (
            with_port(to_scheme("http"), 8080),
            at("https", 443),
            "http://example.org:8080/",
        ),
        (
            with_port(to_scheme("http"), 443),
            at("https", 443),
            "http://example.org:443/",
        ),
    ] {
        assert_eq!(
            redirect.location(&url),
            expected,
            "{redirect:?} at {}:{}",
            url.scheme,
            url.port
        );
    }
}

#[test]
fn a_location_names_the_host_without_the_port_that_was_asked_for() {
    let at = |authority| RequestUrl {
        authority,
        port: 80,
        path: "/",
        ..URL
    };
    assert_eq!(KEEP.location(&at("example.com:8080")), "http://example.com/");
    assert_eq!(KEEP.location(&at("example.com:")), "http://example.com/");
    assert_eq!(KEEP.location(&at("[::1]:8080")), "http://[::1]/");
    assert_eq!(KEEP.location(&at("[::1]")), "http://[::1]/");
}

#[test]
fn a_redirect_without_a_host_is_relative_and_never_names_one_by_accident() {
    let at = |path| RequestUrl {
        authority: "",
        path,
        ..URL
    };
    assert_eq!(KEEP.location(&at("/a")), "/a");
    assert_eq!(KEEP.location(&at("//evil.example/a")), "/.//evil.example/a");
}

#[test]
fn a_mirror_strikes_its_share_of_requests() {
    let struck = |numerator, denominator| {
        let (mirror, mut dice) = (
            Mirror {
                cluster: None,
                numerator,
                denominator,
            },
            Dice::seeded(3),
        );
        (0..10_000).filter(|_| mirror.strikes(&mut dice)).count()
    };
    assert_eq!(struck(0, 100), 0);
    assert_eq!(struck(100, 100), 10_000);
    assert!((2_300..=2_700).contains(&struck(1, 4)), "{}", struck(1, 4));
}

fn cors() -> Cors {
    Cors {
        allow_origins: texts(&["https://www.foo.com", "https://*.bar.com"]),
        allow_credentials: true,
        allow_methods: texts(&["GET", "OPTIONS"]),
        allow_headers: texts(&["x-header-1", "x-header-2"]),
        expose_headers: texts(&["x-header-3", "x-header-4"]),
        max_age: 3600,
    }
}

fn preflight<'a>(origin: &'a str, method: &'a str) -> CorsRequest<'a> {
    CorsRequest {
        method: "OPTIONS",
        origin: Some(origin),
        request_method: Some(method),
        request_headers: Some("x-header-1, x-header-2"),
    }
}

fn fields_of(answer: CorsAnswer) -> Vec<(String, String)> {
    match answer {
        CorsAnswer::Preflight(fields) => fields.into_iter().map(|(name, v)| (name.to_owned(), v)).collect(),
        CorsAnswer::Actual(edits) | CorsAnswer::NotCors(edits) => {
            let plain =
                |(name, value): (String, HeaderValue)| (name, value.plain().unwrap_or_default().to_owned());
            edits.set.into_iter().chain(edits.add).map(plain).collect()
        }
    }
}

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields
        .iter()
        .find(|(held, _)| held == name)
        .map(|(_, value)| value.clone())
}

#[test]
fn a_preflight_from_an_allowed_origin_is_told_all_that_is_allowed() {
    for origin in [
        "https://www.foo.com",
        "https://www.bar.com",
        "https://xpto.www.bar.com",
    ] {
        let CorsAnswer::Preflight(fields) = cors().decide(&preflight(origin, "GET")) else {
            panic!("{origin} is a preflight");
        };
        let expected = [
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-header-3, x-header-4"),
            ("access-control-allow-methods", "GET, OPTIONS"),
            ("access-control-allow-headers", "x-header-1, x-header-2"),
            ("access-control-max-age", "3600"),
            ("vary", "Origin"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name, value.to_owned())));
    }
}

#[test]
fn a_preflight_from_another_origin_is_answered_without_cors_fields() {
    for origin in [
        "https://foobar.com",
        "http://www.foo.com",
        "https://bar.com",
        "https://evilbar.com",
        "null",
    ] {
        let answer = cors().decide(&preflight(origin, "GET"));
        assert_eq!(
            answer,
            CorsAnswer::Preflight(vec![("vary", "Origin".to_owned())]),
            "{origin}"
        );
    }
}

#[test]
fn only_options_with_an_asked_method_is_a_preflight() {
    let get = CorsRequest {
        method: "GET",
        ..preflight("https://www.foo.com", "GET")
    };
    assert!(matches!(cors().decide(&get), CorsAnswer::Actual(_)));
    let plain_options = CorsRequest {
        request_method: None,
        ..preflight("https://www.foo.com", "GET")
    };
    assert!(matches!(cors().decide(&plain_options), CorsAnswer::Actual(_)));
    let no_origin = CorsRequest {
        origin: None,
        ..preflight("", "GET")
    };
    let vary = HeaderEdits {
        add: values(&[("vary", "Origin")]),
        ..HeaderEdits::default()
    };
    assert_eq!(cors().decide(&no_origin), CorsAnswer::NotCors(vary));
}

#[test]
fn an_actual_response_carries_the_filters_fields_and_none_of_the_upstreams() {
    let upstream = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Methods", "DELETE"),
        ("Vary", "Accept-Encoding"),
    ];
    let response_to = |origin| {
        let request = CorsRequest {
            method: "GET",
            origin: Some(origin),
            ..CorsRequest::default()
        };
        let CorsAnswer::Actual(edits) = cors().decide(&request) else {
            panic!("an actual request")
        };
        let mut head = Head(pairs(&upstream));
        edits.apply(&mut head, &mut Vec::new());
        head.0
    };
    let allowed = [
        ("Vary", "Accept-Encoding"),
        ("access-control-allow-origin", "https://www.bar.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-header-3, x-header-4"),
        ("vary", "Origin"),
    ];
    assert_eq!(response_to("https://www.bar.com"), pairs(&allowed));
    let refused = [("Vary", "Accept-Encoding"), ("vary", "Origin")];
    assert_eq!(response_to("https://foobar.com"), pairs(&refused));
}

#[test]
fn wildcards_echo_what_was_asked_for() {
    let any = || texts(&["*"]);
    for allow_credentials in [true, false] {
        let cors = Cors {
            allow_origins: any(),
            allow_methods: any(),
            allow_headers: any(),
            expose_headers: any(),
            allow_credentials,
            max_age: 5,
        };
        let origin = "https://foobar.com:12345";
        let asked = fields_of(cors.decide(&preflight(origin, "PUT")));
        assert_eq!(
            field(&asked, "access-control-allow-origin").as_deref(),
            Some(origin)
        );
        assert_eq!(
            field(&asked, "access-control-allow-methods").as_deref(),
            Some("PUT")
        );
        assert_eq!(
            field(&asked, "access-control-allow-headers").as_deref(),
            Some("x-header-1, x-header-2")
        );
        assert_eq!(field(&asked, "access-control-max-age").as_deref(), Some("5"));
        assert_eq!(
            field(&asked, "access-control-allow-credentials").is_some(),
            allow_credentials
        );
        assert_eq!(
            field(&asked, "access-control-expose-headers").is_some(),
            !allow_credentials
        );
        let bare = CorsRequest {
            request_headers: None,
            ..preflight(origin, "PUT")
        };
        assert_eq!(
            field(&fields_of(cors.decide(&bare)), "access-control-allow-headers"),
            None
        );
    }
}

#[test]
fn an_origins_port_is_its_schemes_own_unless_given() {
    let allows = |allowed: &str, origin: &str| {
        let cors = Cors {
            allow_origins: texts(&[allowed]),
            ..Cors::default()
        };
        let request = CorsRequest {
            method: "GET",
            origin: Some(origin),
            ..CorsRequest::default()
        };
        field(&fields_of(cors.decide(&request)), "access-control-allow-origin").is_some()
    };
    for (allowed, origin) in [
        ("https://foo.com:443", "https://foo.com"),
        ("https://foo.com", "https://FOO.com"),
        ("http://*.foo.com:8080", "http://a.foo.com:8080"),
        ("https://*", "https://any.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("null", "null"),
        ("app://shell", "app://shell"),
    ] {
        assert!(allows(allowed, origin), "{allowed} allows {origin}");
    }
    for (allowed, origin) in [
        ("https://foo.com", "https://foo.com:8443"),
        ("https://foo.com", "http://foo.com:443"),
        ("https://*", "http://any.example"),
        ("https://*.foo.com", "https://foo.com"),
        ("https://*.foo.com", "https://a.foo.com.evil.example"),
        ("https://*", "null"),
        ("https://foo.com", "https://foo.com:abc"),
        ("https://foo.com:80", "https://foo.com:+80"),
    ] {
        assert!(!allows(allowed, origin), "{allowed} does not allow {origin}");
    }
}
