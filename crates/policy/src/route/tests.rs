//! Stories first, one for each rule of precedence; then the whole table against a reference that
//! filters everything and sorts.

use std::borrow::Cow;
use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

/// A request as a test holds it.
#[derive(Clone, Debug, Default)]
struct Request {
    method: String,
    host: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (_, value) = self.headers.iter().find(|(held, _)| held == name)?;
        Some(Cow::Borrowed(value.as_bytes()))
    }
}

/// `GET` of `host/path?query`.
fn get(url: &str) -> Request {
    let (host, target) = url.split_at(url.find(['/', '*']).unwrap());
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    Request {
        method: "GET".to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers: Vec::new(),
    }
}

impl Request {
    fn by(self, method: &str) -> Self {
        Self {
            method: method.to_owned(),
            ..self
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

fn exact(path: &str) -> MatchSpec {
    MatchSpec {
        path: Some(PathMatch::Exact(path.to_owned())),
        ..MatchSpec::default()
    }
}

fn prefix(path: &str) -> MatchSpec {
    MatchSpec {
        path: Some(PathMatch::Prefix(path.to_owned())),
        ..MatchSpec::default()
    }
}

fn pattern(path: &str) -> MatchSpec {
    MatchSpec {
        path: Some(PathMatch::Regex(anchored(path).unwrap())),
        ..MatchSpec::default()
    }
}

impl MatchSpec {
    fn by(self, method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..self
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers
            .push((name.to_owned(), ValueMatch::Exact(value.to_owned())));
        self
    }

    fn asking(mut self, name: &str, value: &str) -> Self {
        self.query
            .push((name.to_owned(), ValueMatch::Exact(value.to_owned())));
        self
    }
}

/// A rule that leads to the route of this name.
fn rule(name: &str, matches: Vec<MatchSpec>) -> RuleSpec {
    let action = Route {
        name: name.into(),
        filters: Vec::new(),
        backends: Vec::new(),
        request_timeout: None,
        per_try_timeout: None,
        retry: None,
        rate_limit: None,
    };
    RuleSpec {
        matches,
        action: Arc::new(action),
    }
}

/// A route at listener 0; of two, the one with the smaller age rank is the older.
fn route(name: &str, age_rank: u64, hostnames: &[&str], rules: Vec<RuleSpec>) -> RouteSpec {
    RouteSpec {
        name: name.into(),
        listeners: vec![ListenerId(0)],
        hostnames: hostnames.iter().map(|&hostname| hostname.to_owned()).collect(),
        rules,
        age_rank,
    }
}

fn listener(port: u16, hostname: Option<&str>) -> ListenerHost<'_> {
    ListenerHost {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        hostname,
    }
}

/// The routes at one listener without hostname.
fn table(specs: Vec<RouteSpec>) -> RouteTable {
    RouteTable::build(specs, &[listener(80, None)])
}

/// One route whose rules each lead to their own name.
fn rules(rules: Vec<(&str, MatchSpec)>) -> RouteTable {
    let rules = rules
        .into_iter()
        .map(|(name, asked)| rule(name, vec![asked]))
        .collect();
    table(vec![route("ns/only", 0, &[], rules)])
}

fn found<'a>(table: &'a RouteTable, request: &Request) -> &'a str {
    table
        .find(ListenerId(0), &request.host, request)
        .map_or("404", |matched| &matched.route.name)
}

#[test]
fn an_exact_path_matches_letter_by_letter() {
    let table = rules(vec![("abc", exact("/abc"))]);
    assert_eq!(found(&table, &get("h/abc")), "abc");
    for other in ["h/abc/", "h/Abc", "h/abcd", "h/"] {
        assert_eq!(found(&table, &get(other)), "404", "{other}");
    }
}

#[test]
fn a_prefix_matches_whole_segments() {
    for written in ["/abc", "/abc/"] {
        let table = rules(vec![("abc", prefix(written))]);
        for path in ["h/abc", "h/abc/", "h/abc/def"] {
            assert_eq!(found(&table, &get(path)), "abc", "{path}");
            assert_eq!(
                table
                    .find(ListenerId(0), &get(path).host, &get(path))
                    .unwrap()
                    .prefix,
                Some("/abc")
            );
        }
        for path in ["h/abcd", "h/ab", "h/Abc", "h/"] {
            assert_eq!(found(&table, &get(path)), "404", "{path}");
        }
    }
}

#[test]
fn an_exact_path_wins_over_an_expression_and_that_over_every_prefix() {
    let table = rules(vec![
        ("prefix", prefix("/match/exact")),
        ("expression", pattern("/match/e.*")),
        ("exact", exact("/match/exact")),
    ]);
    assert_eq!(found(&table, &get("h/match/exact")), "exact");
    assert_eq!(found(&table, &get("h/match/exact/more")), "expression");
    assert_eq!(found(&table, &get("h/match/")), "404");
}

#[test]
fn the_longest_prefix_wins_and_is_named() {
    let table = rules(vec![
        ("root", prefix("/")),
        ("one", prefix("/one")),
        ("two", prefix("/one/two")),
    ]);
    for (url, name, matched) in [
        ("h/one/two/three", "two", "/one/two"),
        ("h/one/twofold", "one", "/one"),
        ("h/onefold", "root", "/"),
        ("h*", "root", "/"),
    ] {
        assert_eq!(found(&table, &get(url)), name);
        assert_eq!(
            table
                .find(ListenerId(0), &get(url).host, &get(url))
                .unwrap()
                .prefix,
            Some(matched)
        );
    }
}

#[test]
fn the_longer_expression_wins_and_must_match_the_whole_path() {
    let table = rules(vec![("short", pattern("/a.*")), ("long", pattern("/a/[0-9]+"))]);
    assert_eq!(found(&table, &get("h/a/12")), "long");
    assert_eq!(found(&table, &get("h/a/12x")), "short");
    assert_eq!(found(&table, &get("h/b/a/12")), "404");
    assert!(
        table
            .find(ListenerId(0), "h", &get("h/a/12"))
            .unwrap()
            .prefix
            .is_none()
    );
}

#[test]
fn an_expression_cannot_escape_its_anchors() {
    assert!(anchored("a)|(?:b").is_err());
    assert!(anchored("[").is_err());
    assert!(
        anchored("(?:(?:a{100}){100}){100}").is_err(),
        "an expression has a size limit"
    );
    let either = anchored("a|ab").unwrap();
    assert!(
        either.is_match("a") && either.is_match("ab") && !either.is_match("abc") && !either.is_match("ba")
    );
    assert!(!anchored("(?m)^a$").unwrap().is_match("a\nb"));
}

#[test]
fn of_one_path_a_method_wins_then_more_fields_then_more_parameters() {
    let table = rules(vec![
        ("plain", prefix("/")),
        ("parameter", prefix("/").asking("animal", "whale")),
        (
            "two parameters",
            prefix("/").asking("animal", "whale").asking("color", "blue"),
        ),
        ("field", prefix("/").with("version", "one")),
        (
            "two fields",
            prefix("/").with("version", "one").with("stage", "canary"),
        ),
        ("method", prefix("/").by("POST")),
    ]);
    let whale = || get("h/?animal=whale&color=blue");
    assert_eq!(found(&table, &get("h/")), "plain");
    assert_eq!(found(&table, &get("h/?animal=whale")), "parameter");
    assert_eq!(found(&table, &whale()), "two parameters");
    assert_eq!(found(&table, &whale().with("version", "one")), "field");
    assert_eq!(
        found(&table, &whale().with("version", "one").with("stage", "canary")),
        "two fields"
    );
    assert_eq!(
        found(&table, &whale().with("version", "one").by("POST")),
        "method"
    );
}

#[test]
fn a_longer_path_wins_over_everything_that_is_asked_besides() {
    let table = rules(vec![
        ("asked", prefix("/").by("GET").with("version", "one")),
        ("path", prefix("/v2")),
    ]);
    assert_eq!(found(&table, &get("h/v2/a").with("version", "one")), "path");
    assert_eq!(found(&table, &get("h/v1/a").with("version", "one")), "asked");
}

#[test]
fn a_tie_goes_to_the_older_route_then_to_the_first_name_then_to_the_first_rule() {
    let both = |name: &str, age| {
        let matches = || vec![prefix("/tie")];
        route(
            name,
            age,
            &[],
            vec![
                rule(&format!("{name}/0"), matches()),
                rule(&format!("{name}/1"), matches()),
            ],
        )
    };
    let tie = get("h/tie");
    assert_eq!(
        found(&table(vec![both("b/young", 2), both("c/old", 1)]), &tie),
        "c/old/0"
    );
    assert_eq!(
        found(&table(vec![both("b/z", 1), both("b/a", 1), both("c/a", 1)]), &tie),
        "b/a/0"
    );
}

#[test]
fn a_rule_matches_by_any_of_its_matches_and_by_every_path_without_one() {
    let one_of_two = vec![prefix("/foo").with("version", "v2"), prefix("/v2/foo")];
    let specs = vec![route(
        "ns/r",
        0,
        &[],
        vec![rule("either", one_of_two), rule("rest", Vec::new())],
    )];
    let table = table(specs);
    assert_eq!(found(&table, &get("h/foo").with("version", "v2")), "either");
    assert_eq!(found(&table, &get("h/v2/foo/a")), "either");
    assert_eq!(found(&table, &get("h/foo")), "rest");
}

#[test]
fn a_field_or_parameter_is_asked_for_once_by_its_first_entry() {
    let twice = prefix("/").with("version", "one").with("version", "two");
    let table = rules(vec![
        ("twice", twice),
        ("parameter", prefix("/").asking("a", "1").asking("a", "2")),
    ]);
    assert_eq!(found(&table, &get("h/").with("version", "one")), "twice");
    assert_eq!(found(&table, &get("h/").with("version", "two")), "404");
    assert_eq!(found(&table, &get("h/?a=1&a=2")), "parameter");
    assert_eq!(found(&table, &get("h/?a=2&a=1")), "404");
}

#[test]
fn values_match_by_expression_as_a_whole() {
    let by_pattern = |text: &str| ValueMatch::Regex(anchored(text).unwrap());
    let mut asked = prefix("/");
    asked.headers.push(("version".to_owned(), by_pattern("v[0-9]")));
    asked.query.push(("q".to_owned(), by_pattern("a b+")));
    let table = rules(vec![("patterns", asked)]);
    assert_eq!(found(&table, &get("h/?q=a+bb").with("version", "v1")), "patterns");
    assert_eq!(
        found(&table, &get("h/?q=a%20b").with("version", "v1")),
        "patterns"
    );
    assert_eq!(found(&table, &get("h/?q=a+b").with("version", "v12")), "404");
    assert_eq!(found(&table, &get("h/?q=a+b%ff").with("version", "v1")), "404");
}

fn everywhere(name: &str, age: u64, hostnames: &[&str], path: &str) -> RouteSpec {
    route(name, age, hostnames, vec![rule(name, vec![prefix(path)])])
}

#[test]
fn the_most_specific_hostname_wins_whatever_the_age() {
    let table = table(vec![
        everywhere("any", 0, &[], "/"),
        everywhere("com", 1, &["*.com"], "/"),
        everywhere("example", 2, &["*.example.com"], "/"),
        everywhere("whole", 3, &["www.example.com"], "/"),
    ]);
    for (host, name) in [
        ("www.example.com", "whole"),
        ("a.example.com", "example"),
        ("a.b.example.com", "example"),
        ("www.www.example.com", "example"),
        ("example.com", "com"),
        ("anexample.com", "com"),
        ("com", "any"),
        ("", "any"),
    ] {
        assert_eq!(found(&table, &get(&format!("{host}/"))), name, "{host}");
    }
}

#[test]
fn a_less_specific_hostname_has_its_turn_when_no_rule_of_a_more_specific_one_matches() {
    let table = table(vec![
        everywhere("any", 0, &[], "/any"),
        everywhere("wildcard", 1, &["*.specific.com"], "/s3"),
        everywhere("whole", 2, &["very.specific.com"], "/s1"),
    ]);
    assert_eq!(found(&table, &get("very.specific.com/s1")), "whole");
    assert_eq!(found(&table, &get("very.specific.com/s3")), "wildcard");
    assert_eq!(found(&table, &get("very.specific.com/any")), "any");
    assert_eq!(found(&table, &get("very.specific.com/s2")), "404");
}

#[test]
fn a_hostname_wins_over_a_better_path() {
    let older = route(
        "older",
        0,
        &["*.example.com"],
        vec![rule("older", vec![exact("/v2")])],
    );
    let table = table(vec![older, everywhere("whole", 1, &["a.example.com"], "/")]);
    assert_eq!(found(&table, &get("a.example.com/v2")), "whole");
}

/// Four listeners of one address and one of another; a route at each, for a path of its own.
fn isolated(hostnames: [&[&str]; 4]) -> RouteTable {
    let listeners = [
        listener(80, None),
        listener(80, Some("*.example.com")),
        listener(80, Some("*.foo.example.com")),
        listener(80, Some("abc.foo.example.com")),
        listener(81, None),
    ];
    let at = |id: u32, hostnames| {
        let name = format!("at{id}");
        RouteSpec {
            listeners: vec![ListenerId(id)],
            ..route(
                &name,
                0,
                hostnames,
                vec![rule(&name, vec![prefix(&format!("/{id}"))])],
            )
        }
    };
    let [any, example, foo, abc] = hostnames;
    RouteTable::build(
        vec![at(0, any), at(1, example), at(2, foo), at(3, abc)],
        &listeners,
    )
}

#[test]
fn the_most_specific_listener_of_an_address_takes_the_request_for_good() {
    let named: [&[&str]; 4] = [
        &["bar.com"],
        &["*.example.com"],
        &["*.foo.example.com"],
        &["abc.foo.example.com"],
    ];
    for hostnames in [[&[] as &[&str]; 4], named] {
        let table = isolated(hostnames);
        let hosts = [
            "bar.com",
            "bar.example.com",
            "bar.foo.example.com",
            "abc.foo.example.com",
        ];
        for (taker, host) in hosts.into_iter().enumerate() {
            for path in 0..4 {
                let name = if path == taker {
                    format!("at{taker}")
                } else {
                    "404".to_owned()
                };
                let request = get(&format!("{host}/{path}"));
                assert_eq!(found(&table, &request), name, "{host}/{path}");
                // Any listener of the address stands for all of them.
                let by_another = table.find(ListenerId(3), &request.host, &request);
                assert_eq!(by_another.map_or("404", |matched| &matched.route.name), name);
                assert!(table.find(ListenerId(4), &request.host, &request).is_none());
            }
        }
    }
}

#[test]
fn listeners_of_one_address_and_hostname_are_one() {
    let second = RouteSpec {
        listeners: vec![ListenerId(1)],
        ..everywhere("second", 0, &[], "/second")
    };
    let specs = vec![everywhere("first", 0, &[], "/first"), second];
    let table = RouteTable::build(specs, &[listener(80, Some("a.com")), listener(80, Some("a.com"))]);
    assert_eq!(found(&table, &get("a.com/first")), "first");
    assert_eq!(found(&table, &get("a.com/second")), "second");
}

#[test]
fn an_empty_table_finds_nothing() {
    assert!(
        RouteTable::default()
            .find(ListenerId(0), "h", &get("h/"))
            .is_none()
    );
    assert_eq!(found(&table(Vec::new()), &get("h/")), "404");
}

#[test]
fn hostnames_intersect_as_the_gateway_api_tells() {
    for (listener, route, meet) in [
        (Some("test.example.com"), Some("test.example.com"), true),
        (Some("test.example.com"), Some("*.example.com"), true),
        (Some("*.example.com"), Some("test.example.com"), true),
        (Some("*.example.com"), Some("foo.test.example.com"), true),
        (Some("*.example.com"), Some("*.com"), true),
        (Some("*.example.com"), Some("*.example.com"), true),
        (Some("*.example.com"), Some("example.com"), false),
        (Some("*.example.com"), Some("test.example.net"), false),
        (Some("*.example.com"), Some("*.example.net"), false),
        (Some("test.example.com"), None, true),
        (None, Some("test.example.com"), true),
        (None, None, true),
    ] {
        assert_eq!(
            hostnames_intersect(listener, route),
            meet,
            "{listener:?} {route:?}"
        );
    }
}

// The reference: everything that matches, sorted by the specification's list.

fn host_rank(hostname: Option<&str>, host: &str) -> Option<(usize, usize)> {
    let Some(hostname) = hostname else {
        return Some((0, 0));
    };
    match hostname.strip_prefix('*') {
        Some(suffix) => (host.len() > suffix.len() && host.ends_with(suffix)).then_some((0, hostname.len())),
        None => (hostname == host).then_some((hostname.len(), hostname.len())),
    }
}

fn path_rank(asked: Option<&PathMatch>, path: &str) -> Option<(u8, usize, Option<String>)> {
    match asked {
        None => Some((0, 1, Some("/".to_owned()))),
        Some(PathMatch::Exact(exact)) => (exact == path).then_some((2, 0, None)),
        Some(PathMatch::Regex(pattern)) => pattern.is_match(path).then(|| (1, pattern.as_str().len(), None)),
        Some(PathMatch::Prefix(prefix)) => {
            let elements = |text: &str| {
                text.split('/')
                    .filter(|e| !e.is_empty())
                    .map(str::to_owned)
                    .collect()
            };
            let (asked, given): (Vec<_>, Vec<_>) = (elements(prefix), elements(path));
            given
                .starts_with(&asked)
                .then(|| (0, prefix.len(), Some(prefix.clone())))
        }
    }
}

fn value_holds(asked: &ValueMatch, value: &str) -> bool {
    match asked {
        ValueMatch::Exact(text) => text == value,
        ValueMatch::Regex(pattern) => pattern.is_match(value),
    }
}

fn rest_matches(asked: &MatchSpec, request: &Request) -> bool {
    let header = |name: &str| {
        request
            .headers
            .iter()
            .find(|(held, _)| held == name)
            .map(|(_, v)| v.as_str())
    };
    let parameter = |name: &str| {
        let pairs = request
            .query
            .as_deref()?
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find(|(held, _)| *held == name)
            .map(|(_, value)| value)
    };
    asked
        .method
        .as_ref()
        .is_none_or(|method| *method == request.method)
        && asked
            .headers
            .iter()
            .all(|(name, asked)| header(name).is_some_and(|v| value_holds(asked, v)))
        && asked
            .query
            .iter()
            .all(|(name, asked)| parameter(name).is_some_and(|v| value_holds(asked, v)))
}

/// The name of the route and the prefix that matched.
fn reference(
    specs: &[RouteSpec],
    listeners: &[ListenerHost<'_>],
    at: ListenerId,
    request: &Request,
) -> Option<(String, Option<String>)> {
    let of_address = listeners
        .iter()
        .filter(|other| other.address == listeners[at.0 as usize].address);
    let taker = of_address
        .filter(|other| host_rank(other.hostname, &request.host).is_some())
        .max_by_key(|other| host_rank(other.hostname, &request.host))?;
    let mut all = Vec::new();
    for spec in specs
        .iter()
        .filter(|spec| spec.listeners.iter().any(|id| listeners[id.0 as usize] == *taker))
    {
        let hosts: Vec<_> = match spec.hostnames.as_slice() {
            [] => vec![None],
            names => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        let Some(host) = hosts
            .into_iter()
            .filter_map(|name| host_rank(name, &request.host))
            .max()
        else {
            continue;
        };
        for (place, rule) in spec.rules.iter().enumerate() {
            let every_path = vec![MatchSpec::default()];
            let matches = if rule.matches.is_empty() {
                &every_path
            } else {
                &rule.matches
            };
            for asked in matches.iter().filter(|asked| rest_matches(asked, request)) {
                if let Some((kind, length, prefix)) = path_rank(asked.path.as_ref(), &request.path) {
                    let counts = (asked.method.is_some(), asked.headers.len(), asked.query.len());
                    let order = (
                        Reverse((host, kind, length, counts)),
                        spec.age_rank,
                        spec.name.clone(),
                        place,
                    );
                    all.push((order, rule.action.name.to_string(), prefix));
                }
            }
        }
    }
    all.into_iter().min().map(|(_, name, prefix)| (name, prefix))
}

const HOSTS: [&str; 6] = ["com", "a.com", "b.com", "x.a.com", "y.x.a.com", "aa.com"];
const HOSTNAMES: [&str; 7] = [
    "a.com",
    "x.a.com",
    "y.x.a.com",
    "*.com",
    "*.a.com",
    "*.x.a.com",
    "b.com",
];
const PATHS: [&str; 9] = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/a-b", "/a%2Fb", "/b", "/b/a"];
const PATTERNS: [&str; 4] = ["/a.*", "/[ab]", "/a/b|/ab", ".*c"];
const NAMES: [&str; 2] = ["one", "two"];
const VALUES: [&str; 2] = ["1", "22"];

fn some_value() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        proptest::sample::select(&VALUES[..]).prop_map(|value| ValueMatch::Exact(value.to_owned())),
        Just(ValueMatch::Regex(anchored("2+").unwrap())),
    ]
}

fn some_entries() -> impl Strategy<Value = Vec<(String, ValueMatch)>> {
    proptest::sample::subsequence(&NAMES[..], 0..=2).prop_flat_map(|names| {
        let values = proptest::collection::vec(some_value(), names.len());
        values.prop_map(move |values| names.iter().map(|name| (*name).to_owned()).zip(values).collect())
    })
}

fn some_match() -> impl Strategy<Value = MatchSpec> {
    let path = prop_oneof![
        1 => Just(None),
        3 => proptest::sample::select(&PATHS[..]).prop_map(|path| Some(PathMatch::Exact(path.to_owned()))),
        5 => proptest::sample::select(&PATHS[..]).prop_map(|path| Some(PathMatch::Prefix(path.to_owned()))),
        1 => proptest::sample::select(&PATTERNS[..]).prop_map(|p| Some(PathMatch::Regex(anchored(p).unwrap()))),
    ];
    let method = proptest::option::weighted(0.3, Just("GET".to_owned()));
    // Mostly unasked, or hardly a request would match.
    let entries = || prop_oneof![3 => Just(Vec::new()), 1 => some_entries()];
    (path, entries(), entries(), method).prop_map(|(path, headers, query, method)| MatchSpec {
        path,
        headers,
        query,
        method,
    })
}

fn some_specs() -> impl Strategy<Value = Vec<RouteSpec>> {
    let matches = proptest::collection::vec(some_match(), 0..3);
    let rules = proptest::collection::vec(matches, 1..4);
    let hostnames = proptest::sample::subsequence(&HOSTNAMES[..], 0..=3);
    let listeners = proptest::sample::subsequence(vec![0, 1, 2, 3, 4], 1..=3);
    let spec = (rules, hostnames, listeners, 0..3_u64);
    proptest::collection::vec(spec, 0..12).prop_map(|specs| {
        let numbered = specs.into_iter().enumerate();
        numbered
            .map(|(number, (rules, hostnames, listeners, age))| {
                let name = format!("ns/{number:02}");
                let numbered = rules.into_iter().enumerate();
                let rules = numbered
                    .map(|(at, matches)| rule(&format!("{name}/{at}"), matches))
                    .collect();
                let listeners = listeners.into_iter().map(ListenerId).collect();
                RouteSpec {
                    listeners,
                    ..route(&name, age, &hostnames, rules)
                }
            })
            .collect()
    })
}

fn some_request() -> impl Strategy<Value = Request> {
    let value = || proptest::option::of(proptest::sample::select(&VALUES[..]));
    let method = proptest::sample::select(vec!["GET", "POST"]);
    let host = prop_oneof![9 => proptest::sample::select(&HOSTS[..]), 1 => Just("")];
    let path = proptest::collection::vec(proptest::sample::select(&PATHS[1..]), 1..3)
        .prop_map(|parts| parts.concat())
        .boxed();
    let path = prop_oneof![6 => path, 1 => Just("/".to_owned()), 1 => Just("/a/".to_owned())];
    (method, host, path, [value(), value()], [value(), value()]).prop_map(
        |(method, host, path, asked, fields)| {
            let named = |values: [Option<&str>; 2]| -> Vec<(String, String)> {
                let pairs = NAMES.iter().zip(values);
                pairs
                    .filter_map(|(name, value)| Some(((*name).to_owned(), value?.to_owned())))
                    .collect()
            };
            let query: Vec<_> = named(asked)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            Request {
                method: method.to_owned(),
                host: host.to_owned(),
                path,
                query: (!query.is_empty()).then(|| query.join("&")),
                headers: named(fields),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_table_finds_what_filtering_and_sorting_everything_would(
        specs in some_specs(),
        hostnames in proptest::array::uniform5(proptest::option::of(proptest::sample::select(&HOSTNAMES[..]))),
        requests in proptest::collection::vec((0..5_u32, some_request()), 8),
    ) {
        let listeners: Vec<_> =
            hostnames.into_iter().zip([80, 80, 80, 81, 81]).map(|(name, port)| listener(port, name)).collect();
        let table = RouteTable::build(specs.clone(), &listeners);
        for (at, request) in requests {
            let matched = table.find(ListenerId(at), &request.host, &request);
            let found = matched.map(|m| (m.route.name.to_string(), m.prefix.map(str::to_owned)));
            prop_assert_eq!(found, reference(&specs, &listeners, ListenerId(at), &request), "{:?}", request);
        }
    }
}
