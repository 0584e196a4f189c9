//! What each kind becomes in the model.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use config::model::{AccessLog, Downstream, EndpointSpec, LogFormat, LogSink, Model};
use config::{Code, ReadOptions, Source, changes, read};
use policy::filter::{Filter, HeaderEdits, PathChange};
use policy::plan::{
    Balance, ClusterPlan, KeepAlivePlan, Learning, Limits, OwnerRetry, RetryOn, RetryPlan, TcpKeepalive,
    Timeouts, UnsafeMethods,
};
use policy::route::{Limit, ListenerId, RequestView, Route};

fn model(text: &str) -> Model {
    let source = Source {
        name: "gateway.yaml".to_owned(),
        text: text.to_owned(),
    };
    let model = read(&[source], &ReadOptions::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    // What tests of single parts leave out, or do twice, is beside their point.
    let beside = [Code::RepeatsUnsafe, Code::Unused, Code::Shadowed, Code::Ignored];
    let told = model.warnings.list().iter();
    let told = told.filter(|told| !beside.contains(&told.code));
    assert_eq!(told.count(), 0, "{}", model.warnings);
    model
}

/// A Gateway, Backends `a` and `b`, and whatever else.
fn with(rest: &str) -> Model {
    model(&format!("{BASE}---\n{rest}"))
}

const BASE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata: {name: a}
spec: {endpoints: [{ip: {address: 10.0.0.1, port: 80}}]}
---
apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata: {name: b}
spec: {endpoints: [{ip: {address: 10.0.0.2, port: 80}}]}
";
const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {rules: [{name: first, backendRefs: [{name: a}]}, {matches: [{path: {value: /b}}], backendRefs: [{name: b}]}]}
---
";

struct Request {
    method: &'static str,
    path: &'static str,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        Some("q=1")
    }
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name == "x-canary").then_some(Cow::Borrowed(b"yes"))
    }
}

fn find<'m>(model: &'m Model, host: &'static str, path: &'static str) -> Option<&'m Route> {
    let request = Request { method: "GET", path };
    model
        .routes
        .find(ListenerId(0), host, &request)
        .map(|matched| &**matched.route)
}

/// The cluster that a path leads to, by its one backend.
fn cluster<'m>(model: &'m Model, path: &'static str) -> &'m config::model::ClusterSpec {
    let backend = &find(model, "any.example", path).expect("a route").backends[0];
    &model.clusters[backend.cluster.expect("a cluster").0 as usize]
}

#[test]
fn a_gateway_binds_each_listener_on_each_address() {
    let model = model(
        "apiVersion: gateway.apoxy.dev/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec:
  gatewayClassName: evenkeel
  addresses: [{value: 127.0.0.1}, {type: IPAddress, value: '::'}]
  listeners:
  - {name: one, port: 80, protocol: HTTP, hostname: '*.example.com', allowedRoutes: {namespaces: {from: All}}}
  - {name: two, port: 81, protocol: HTTP}
",
    );
    let listeners: Vec<_> = model
        .listeners
        .iter()
        .map(|l| format!("{} {} {:?}", l.name, l.address, l.hostname))
        .collect();
    assert_eq!(
        listeners,
        [
            "infra/edge/one@127.0.0.1 127.0.0.1:80 Some(\"*.example.com\")",
            "infra/edge/one@:: [::]:80 Some(\"*.example.com\")",
            "infra/edge/two@127.0.0.1 127.0.0.1:81 None",
            "infra/edge/two@:: [::]:81 None",
        ]
    );
}

#[test]
fn a_route_carries_matches_filters_weights_limits_and_retries() {
    let model = with(
        "apiVersion: gateway.apoxy.dev/v1alpha2
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge, sectionName: http, port: 80}]
  hostnames: [shop.example.com]
  rules:
  - name: main
    matches:
    - path: {type: PathPrefix, value: /%7Eshop/}
      headers: [{name: X-Canary, value: 'yes'}]
      queryParams: [{type: RegularExpression, name: q, value: '[0-9]+'}]
      method: GET
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-A, value: '1'}], add: [{name: X-B, value: '2'}], remove: [X-C]}
    - type: URLRewrite
      urlRewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: b}, percent: 5}}
    backendRefs: [{name: a, weight: 3}, {kind: Backend, group: gateway.envoyproxy.io, name: b, weight: 1}]
    timeouts: {request: 0s, backendRequest: 1500ms}
    retry: {codes: [503, 500], attempts: 2, backoff: 200ms}
",
    );
    let route = find(&model, "shop.example.com", "/~shop/cart").expect("it matches");
    assert_eq!(&*route.name, "httproute/default/web/rule/0/main");
    assert!(find(&model, "other.example.com", "/~shop/cart").is_none());
    assert!(find(&model, "shop.example.com", "/~shopping").is_none());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned().into());
    let edits = HeaderEdits {
        set: vec![pair("X-A", "1")],
        add: vec![pair("X-B", "2")],
        remove: vec!["X-C".to_owned()],
    };
    assert_eq!(route.filters[0], Filter::RequestHeaders(edits));
    let Filter::Rewrite(rewrite) = &route.filters[1] else {
        panic!("a rewrite")
    };
    assert_eq!(rewrite.path, Some(PathChange::Prefix("/".to_owned())));
    let Filter::Mirror(mirror) = &route.filters[2] else {
        panic!("a mirror")
    };
    assert_eq!((mirror.numerator, mirror.denominator), (5, 100));
    assert_eq!(mirror.cluster, route.backends[1].cluster);
    assert_eq!(
        route
            .backends
            .iter()
            .map(|backend| backend.weight)
            .collect::<Vec<_>>(),
        [3, 1]
    );
    assert_eq!(route.request_timeout, Some(Limit::Unlimited));
    assert_eq!(
        route.per_try_timeout,
        Some(Limit::After(Duration::from_millis(1500)))
    );
    let on = RetryOn {
        reset: true,
        connect_failure: true,
        timeout: true,
        statuses: vec![500, 503],
        ..RetryOn::default()
    };
    let retry = OwnerRetry {
        unsafe_methods: UnsafeMethods::Retry,
        attempts: 2,
        backoff: Some(Duration::from_millis(200)),
        backoff_max: None,
        on,
    };
    assert_eq!(route.retry, Some(RetryPlan::Owner(retry)));
}

#[test]
fn a_redirect_and_cors_need_no_backend() {
    let model = with("apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  rules:
  - filters:
    - {type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, statusCode: 308}}
    - type: CORS
      cors: {allowOrigins: ['https://*.example.com', 'http://localhost:3000'], allowCredentials: true, allowMethods: ['*'], maxAge: 60}
");
    let route = find(&model, "a.example", "/").expect("it matches");
    let Filter::Redirect(redirect) = &route.filters[0] else {
        panic!("a redirect")
    };
    assert_eq!(
        (redirect.scheme.as_deref(), redirect.port, redirect.status),
        (Some("https"), Some(8443), 308)
    );
    let Filter::Cors(cors) = &route.filters[1] else {
        panic!("cors")
    };
    assert_eq!(
        (cors.allow_origins.len(), cors.allow_credentials, cors.max_age),
        (2, true, 60)
    );
}

#[test]
fn a_backend_has_addresses_names_and_sockets() {
    let model = with(
        "apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: c}
spec:
  appProtocols: [gateway.envoyproxy.io/ws]
  endpoints:
  - ip: {address: '::1', port: 1}
  - fqdn: {hostname: My_App.internal, port: 2}
  - unix: {path: /run/app.sock}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {rules: [{backendRefs: [{name: c}]}]}
",
    );
    let expected = [
        EndpointSpec::Ip("[::1]:1".parse().expect("an address")),
        EndpointSpec::Fqdn {
            hostname: "my_app.internal".to_owned(),
            port: 2,
        },
        EndpointSpec::Unix("/run/app.sock".into()),
    ];
    assert_eq!(cluster(&model, "/").endpoints, expected);
    assert_eq!(&*cluster(&model, "/").name, "default/c");
}

#[test]
fn a_traffic_policy_sets_every_part_of_the_plan() {
    let model = with(&format!("{ROUTE}apiVersion: evenkeel.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: p}}
spec:
  targetRef: {{group: gateway.networking.k8s.io, kind: Gateway, name: edge}}
  timeout:
    tcp: {{connectTimeout: 1s}}
    http: {{requestTimeout: 30s, streamIdleTimeout: 0s, maxConnectionDuration: 1h}}
  retry:
    numRetries: 3
    retryOn: {{triggers: [gateway-error, reset-before-request, retriable-4xx, refused-stream], httpStatusCodes: [500]}}
    perRetry: {{timeout: 5s, backOff: {{baseInterval: 100ms, maxInterval: 2s}}}}
  keepAlive: {{idleTimeout: 4s, learn: false, margin: 5ms, replayBuffer: 1Mi}}
  tcpKeepalive: {{probes: 5, idleTime: 60s}}
  circuitBreaker:
    maxConnections: 1
    maxPendingRequests: 2
    maxParallelRequests: 3
    maxParallelRetries: 4
    maxRequestsPerConnection: 5
    perEndpoint: {{maxConnections: 6}}
  loadBalancer: {{type: RoundRobin}}
  maxRequestBodyBytes: 10Mi
"));
    let seconds = Duration::from_secs;
    let on = RetryOn {
        reset: true,
        connect_failure: true,
        reset_before_request: true,
        timeout: true,
        statuses: vec![409, 500, 502, 503, 504],
    };
    let plan = ClusterPlan {
        limits: Limits {
            max_connections: 1,
            max_pending_requests: 2,
            max_parallel_requests: 3,
            max_parallel_retries: 4,
            max_requests_per_connection: NonZeroU32::new(5),
            max_connections_per_endpoint: Some(6),
            max_connection_duration: Some(seconds(3600)),
        },
        keep_alive: KeepAlivePlan {
            idle_timeout: seconds(4),
            learning: Learning::Off,
            margin: Duration::from_millis(5),
            replay_bytes: 1 << 20,
        },
        timeouts: Timeouts {
            connect: seconds(1),
            per_try: Some(seconds(5)),
            request: Some(seconds(30)),
            stream_idle: None,
            auto: None,
        },
        retry: RetryPlan::Owner(OwnerRetry {
            unsafe_methods: UnsafeMethods::Retry,
            attempts: 3,
            backoff: Some(Duration::from_millis(100)),
            backoff_max: Some(seconds(2)),
            on,
        }),
        tcp_keepalive: Some(TcpKeepalive {
            idle: seconds(60),
            interval: seconds(10),
            probes: 5,
        }),
        balance: Balance::RoundRobin,
        request_body_max: Some(10 << 20),
        ..ClusterPlan::default()
    };
    assert_eq!(*cluster(&model, "/").plan, plan);
    assert_eq!(&*cluster(&model, "/").name, "default/a");
}

#[test]
fn without_a_policy_the_documented_defaults_hold() {
    let model = with(ROUTE);
    let plan = ClusterPlan {
        tcp_keepalive: Some(TcpKeepalive::default()),
        ..ClusterPlan::default()
    };
    assert_eq!(*cluster(&model, "/").plan, plan);
    assert_eq!(*model.listeners[0].downstream, Downstream::default());
    assert_eq!(model.access_log, AccessLog::default());
}

#[test]
fn the_most_specific_policy_holds_whole() {
    let policy = |name: &str, target: &str, probes: u32| {
        format!(
            "---\napiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: {name}}}\n\
             spec: {{targetRefs: [{{{target}}}], tcpKeepalive: {{probes: {probes}}}}}\n"
        )
    };
    let probes = |model: &Model, path| {
        cluster(model, path)
            .plan
            .tcp_keepalive
            .map(|keepalive| keepalive.probes)
    };
    let name = |model: &Model, path| cluster(model, path).name.to_string();
    let mut text = ROUTE.trim_end_matches("---\n").to_owned() + &policy("g", "kind: Gateway, name: edge", 1);
    assert_eq!(
        (probes(&with(&text), "/"), name(&with(&text), "/")),
        (Some(1), "default/a".to_owned())
    );
    text += &policy("b", "kind: Backend, name: a", 2);
    assert_eq!(
        (probes(&with(&text), "/"), probes(&with(&text), "/b")),
        (Some(2), Some(1))
    );
    text += &policy("r", "kind: HTTPRoute, name: web", 3);
    assert_eq!(
        (probes(&with(&text), "/"), probes(&with(&text), "/b")),
        (Some(3), Some(3))
    );
    assert_eq!(name(&with(&text), "/"), "default/a@default/web");
    text += &policy("s", "kind: HTTPRoute, name: web, sectionName: first", 0);
    assert_eq!(
        (probes(&with(&text), "/"), probes(&with(&text), "/b")),
        (None, Some(3))
    );
    assert_eq!(name(&with(&text), "/"), "default/a@default/web/first");
}

#[test]
fn a_route_of_two_gateways_follows_the_policy_of_each() {
    let model = with(
        &format!(
            "{ROUTE}apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: inner}}
spec: {{listeners: [{{name: http, port: 81, protocol: HTTP}}]}}
---
apiVersion: evenkeel.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: p}}
spec: {{targetRefs: [{{kind: Gateway, name: inner}}], loadBalancer: {{type: Random}}}}
"
        )
        .replace(
            "spec: {rules: [{name: first",
            "spec: {parentRefs: [{name: edge}, {name: inner}], rules: [{name: first",
        ),
    );
    let request = Request {
        method: "GET",
        path: "/",
    };
    let of = |listener| {
        let matched = model
            .routes
            .find(ListenerId(listener), "a", &request)
            .expect("a route");
        let cluster = &model.clusters[matched.route.backends[0].cluster.expect("a cluster").0 as usize];
        (cluster.name.to_string(), cluster.plan.balance.clone())
    };
    assert_eq!(of(0), ("default/a".to_owned(), Balance::LeastRequest));
    assert_eq!(
        of(1),
        ("default/a@Gateway:default/inner".to_owned(), Balance::Random)
    );
}

#[test]
fn a_client_policy_sets_the_downstream_side() {
    let model = with(
        "apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: clients}
spec:
  targetRefs: [{kind: Gateway, name: edge}]
  clientIPDetection: {xForwardedFor: {numTrustedHops: 2}}
  timeout: {http: {idleTimeout: 5m, requestReceivedTimeout: 3s, requestHeadersReceivedTimeout: 2s, streamIdleTimeout: 30s}}
  headers: {maxBytes: 8Ki, maxFields: 50, maxRequestLineBytes: 2048, withUnderscoresAction: RejectRequest, sanitize: false}
  path: {escapedSlashesAction: UnescapeAndRedirect, disableMergeSlashes: true}
  connection: {connectionLimit: {value: 1000}}
  tls: {minVersion: \"1.3\", alpnProtocols: [http/1.1]}
",
    );
    let expected = Downstream {
        idle_timeout: Duration::from_secs(300),
        head_timeout: Duration::from_secs(2),
        request_timeout: Some(Duration::from_secs(3)),
        body_timeout: Duration::from_secs(30),
        trusted_hops: 2,
        trusted_networks: Vec::new(),
        sanitizes: false,
        underscores: config::model::Underscores::RejectRequest,
        paths: config::model::PathRules {
            merge_slashes: false,
            escaped_slashes: Some(config::model::EscapedSlashes::UnescapeAndRedirect),
        },
        head_bytes: 8192,
        fields: 50,
        request_line: 2048,
        max_connections: Some(1000),
        tls_versions: config::model::TlsVersions::Only13,
    };
    assert_eq!(*model.listeners[0].downstream, expected);
}

#[test]
fn telemetry_sets_the_access_log() {
    let telemetry = |log: &str| {
        with(&format!("apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {{name: t}}\nspec: {{accessLog: {{{log}}}}}\n"))
            .access_log
    };
    let file = AccessLog {
        format: LogFormat::Json,
        sink: LogSink::File("/var/log/a".into()),
    };
    assert_eq!(telemetry("format: Json, sink: file, path: /var/log/a"), file);
    assert_eq!(
        telemetry("sink: off"),
        AccessLog {
            format: LogFormat::Text,
            sink: LogSink::Off
        }
    );
}

#[test]
fn a_grant_opens_a_namespace_to_the_routes_of_another() {
    let model = with(
        "apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata: {name: c, namespace: team}
spec: {endpoints: [{ip: {address: 10.0.0.3, port: 80}}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: team}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: evenkeel.dev, kind: Backend, name: c}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {rules: [{backendRefs: [{name: c, namespace: team}]}]}
",
    );
    assert_eq!(&*cluster(&model, "/").name, "team/c");
}

#[test]
fn what_kubernetes_prints_is_read_with_the_older_route_first() {
    let route = |name: &str, created: &str, backend: &str| {
        serde_json::json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {
                "name": name, "namespace": "default", "uid": "1", "resourceVersion": "5", "generation": 2,
                "creationTimestamp": created, "annotations": { "a": "b" }, "managedFields": [{}],
            },
            "spec": { "parentRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge" }],
                      "rules": [{ "backendRefs": [{ "name": backend, "weight": 1 }] }] },
            "status": { "parents": [] },
        })
    };
    let young = format!("{:#}", route("a", "2026-02-01T00:00:00Z", "a")).replace("  ", "\t");
    let old = route("z", "2026-01-01T00:00:00Z", "b");
    assert_eq!(
        &*cluster(&with(&format!("{young}\n---\n{old}")), "/").name,
        "default/b"
    );
}

#[test]
fn run_to_needs_no_file() {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let endpoint = |to: &str| {
        let model = config::single(to, listen).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!((model.listeners.len(), model.listeners[0].address), (1, listen));
        cluster(&model, "/any").endpoints[0].clone()
    };
    let ip = |text: &str| EndpointSpec::Ip(text.parse().expect("an address"));
    assert_eq!(endpoint(":3000"), ip("127.0.0.1:3000"));
    assert_eq!(endpoint("http://10.1.2.3"), ip("10.1.2.3:80"));
    assert_eq!(endpoint("http://[::1]:8080/"), ip("[::1]:8080"));
    let fqdn = EndpointSpec::Fqdn {
        hostname: "app.internal".to_owned(),
        port: 8080,
    };
    assert_eq!(endpoint("App.internal:8080"), fqdn);
}

#[test]
fn a_reload_is_told_in_a_few_words() {
    let (old, same) = (with(ROUTE), with(ROUTE));
    assert!(changes(&old, &same).is_empty());
    let text = format!("{BASE}---\n{ROUTE}")
        .replace("port: 80, protocol", "port: 81, protocol")
        .replace("10.0.0.2", "10.0.0.9");
    let new = model(
        &text
            .replace("value: /b", "value: /c")
            .replace("{name: web}", "{name: shop}"),
    );
    assert_eq!(
        changes(&old, &new),
        [
            "listener default/edge/http on 0.0.0.0:81 added",
            "listener default/edge/http on 0.0.0.0:80 removed",
            "route default/shop added",
            "route default/web removed",
            "cluster default/b changed",
        ]
    );
}
