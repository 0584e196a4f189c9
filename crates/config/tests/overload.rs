//! What keeps a slow endpoint from taking others down, and what clients may send: from words to plans.

mod common;

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use common::{BACKEND, GATEWAY, codes, mistakes, source};
use config::model::Model;
use config::{Code, ReadOptions, changes, read};
use policy::plan::{
    AdaptivePlan, AutoTimeout, Balance, ClientPrefix, ClusterPlan, Distinct, FieldTest, HashOn, HashPlan,
    HashTable, HealthPlan, HealthProbe, HedgePlan, OutlierPlan, Percent, QueuePlan, RateRule,
    RetryBudgetPlan, RetryPlan, UnsafeMethods,
};
use policy::route::{Limit, ListenerId, RateLimitRef, RequestView};

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  rules:
  - {name: one, matches: [{path: {value: /one}}], backendRefs: [{name: api}]}
  - {name: two, backendRefs: [{name: api}]}
";

/// A Gateway, a Backend, a route of two rules, and these resources.
fn text(rest: &[String]) -> String {
    [GATEWAY, BACKEND, ROUTE].join("---\n")
        + &rest.iter().map(|more| format!("---\n{more}")).collect::<String>()
}

fn model(rest: &[String]) -> Model {
    let model = read(&[source("gateway.yaml", &text(rest))], &ReadOptions::default());
    let model = model.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let told = model
        .warnings
        .list()
        .iter()
        .filter(|told| told.code != Code::RepeatsUnsafe);
    assert_eq!(told.count(), 0, "{}", model.warnings);
    model
}

/// A policy of this name for this target; `spec` in YAML's flow style, without braces.
fn policy(name: &str, target: &str, spec: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{targetRefs: [{{{target}}}], {spec}}}\n"
    )
}

const OF_BACKEND: &str = "kind: Backend, name: api";
const OF_ROUTE: &str = "kind: HTTPRoute, name: web";

fn plan(spec: &str) -> ClusterPlan {
    (*model(&[policy("p", OF_BACKEND, spec)]).clusters[0].plan).clone()
}

fn wrong(target: &str, spec: &str) -> String {
    let mistakes = mistakes(&text(&[policy("p", target, spec)]));
    let line = |m: &config::Mistake| {
        let help = m.help.as_deref().unwrap_or_default();
        format!("{} {}: {}: {help}\n", m.code.number(), m.column, m.message)
    };
    mistakes.list().iter().map(line).collect()
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

struct Request(&'static str);

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        self.0
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

/// The name of the rate limit that a path has.
fn limit_of(model: &Model, path: &'static str) -> Option<String> {
    let matched = model
        .routes
        .find(ListenerId(0), "", &Request(path))
        .expect("a route");
    let RateLimitRef(index) = matched.route.rate_limit?;
    Some(model.rate_limits[index as usize].name.to_string())
}

#[test]
fn retries_are_bounded_at_once_or_over_time() {
    let budget = |spec: &str| plan(spec).retry_budget;
    assert_eq!(budget("queue: {}"), RetryBudgetPlan::default());
    let parallel = |share, floor| RetryBudgetPlan::Parallel { share, floor };
    assert_eq!(
        budget("circuitBreaker: {retryBudget: {percent: 25, minRetryConcurrency: 7}}"),
        parallel(0.25, 7)
    );
    assert_eq!(
        budget("circuitBreaker: {retryBudget: {percent: {numerator: 1, denominator: 8}}}"),
        parallel(0.125, 3)
    );
    assert_eq!(
        budget("circuitBreaker: {retryBudget: {percent: {numerator: 5}}}"),
        parallel(0.05, 3)
    );
    assert_eq!(budget("circuitBreaker: {retryBudget: {}}"), parallel(0.2, 3));
    let rate = |share, interval, floor| RetryBudgetPlan::Rate {
        share,
        interval: millis(interval),
        floor,
        burst: 0,
    };
    assert_eq!(budget("retryConstraint: {}"), rate(0.2, 10_000, 100));
    let spec =
        "retryConstraint: {budget: {percent: 50, interval: 2s}, minRetryRate: {count: 1, interval: 3s}}";
    assert_eq!(budget(spec), rate(0.5, 2000, 1));
}

#[test]
fn the_gateway_apis_own_kind_sets_the_budget_of_a_backend() {
    let own = "apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: x}
spec:
  targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: api}]
  retryConstraint: {budget: {percent: 5, interval: 1s}, minRetryRate: {count: 2, interval: 1s}}
"
    .to_owned();
    let of_api = RetryBudgetPlan::Rate {
        share: 0.05,
        interval: millis(1000),
        floor: 2,
        burst: 0,
    };
    let cluster = |rest: &[String]| (*model(rest).clusters[0].plan).clone();
    assert_eq!(cluster(std::slice::from_ref(&own)).retry_budget, of_api);
    // It joins a policy that says nothing of budgets, and gives way to one that does.
    let silent = cluster(&[own.clone(), policy("p", OF_ROUTE, "hedge: {}")]);
    assert_eq!((silent.retry_budget, silent.hedge.is_some()), (of_api, true));
    let loud = policy("p", OF_ROUTE, "retryConstraint: {}");
    let loud = cluster(&[own.clone(), loud]).retry_budget;
    assert!(matches!(loud, RetryBudgetPlan::Rate { floor: 100, .. }));
    let same = text(&[own.clone(), policy("p", OF_BACKEND, "retryConstraint: {}")]);
    assert_eq!(codes(&mistakes(&same)), ["EK0036"]);
    let twice = text(&[own.clone(), own.replace("name: x}", "name: y}")]);
    assert_eq!(codes(&mistakes(&twice)), ["EK0036"]);
}

#[test]
fn a_passive_block_has_envoy_gateways_defaults_and_none_has_ours() {
    let outlier = |spec: &str| plan(spec).outlier;
    assert_eq!(
        outlier("healthCheck: {panicThreshold: 30}"),
        OutlierPlan::default()
    );
    assert_eq!(
        plan("healthCheck: {panicThreshold: 30}").panic_threshold,
        Percent(30)
    );
    let theirs = OutlierPlan {
        interval: millis(3000),
        consecutive_5xx: 5,
        consecutive_gateway: 0,
        consecutive_local: 5,
        split_local: false,
        success_rate_factor: 0,
        failure_percentage: 0,
        rate_requests_min: 50,
        base_ejection: millis(30_000),
        max_ejection: millis(300_000),
        max_ejection_percent: 10,
    };
    assert_eq!(outlier("healthCheck: {passive: {}}"), theirs);
    let all = "healthCheck: {passive: {splitExternalLocalOriginErrors: true, interval: 1s, \
               consecutiveLocalOriginFailures: 1, consecutiveGatewayErrors: 2, consecutive5XxErrors: 3, \
               baseEjectionTime: 4s, maxEjectionTime: 5s, maxEjectionPercent: 6, failurePercentageThreshold: 7, \
               successRateStdevFactor: 8, requestVolume: 9}}";
    let expected = OutlierPlan {
        interval: millis(1000),
        consecutive_5xx: 3,
        consecutive_gateway: 2,
        consecutive_local: 1,
        split_local: true,
        success_rate_factor: 8,
        failure_percentage: 7,
        rate_requests_min: 9,
        base_ejection: millis(4000),
        max_ejection: millis(5000),
        max_ejection_percent: 6,
    };
    assert_eq!(outlier(all), expected);
    let long = outlier("healthCheck: {passive: {baseEjectionTime: 10m}}");
    assert_eq!(long.max_ejection, millis(600_000));
}

#[test]
fn endpoints_are_asked_for_their_health_by_http_or_tcp() {
    let health = |spec: &str| plan(&format!("healthCheck: {{active: {{{spec}}}}}")).health;
    let count = |count| NonZeroU32::new(count).expect("above 0");
    let expected = HealthPlan {
        timeout: millis(1000),
        interval: millis(3000),
        initial_jitter: millis(3000),
        unhealthy_threshold: count(3),
        healthy_threshold: count(1),
        port: None,
        probe: HealthProbe::Http {
            host: None,
            path: "/up".to_owned(),
            method: "GET".to_owned(),
            statuses: vec![200],
            retriable: Vec::new(),
            receive: Vec::new(),
        },
    };
    assert_eq!(health("type: HTTP, http: {path: /up}"), Some(expected));
    let spec = "type: TCP, timeout: 200ms, interval: 1s, initialJitter: 0s, unhealthyThreshold: 4, \
                healthyThreshold: 2, overrides: {port: 81}, \
                tcp: {send: {type: Text, text: ping}, receive: {type: Binary, binary: AP8=}}";
    let expected = HealthPlan {
        timeout: millis(200),
        interval: millis(1000),
        initial_jitter: Duration::ZERO,
        unhealthy_threshold: count(4),
        healthy_threshold: count(2),
        port: Some(81),
        probe: HealthProbe::Tcp {
            send: b"ping".to_vec(),
            receive: vec![0, 255],
        },
    };
    assert_eq!(health(spec), Some(expected));
    let bare = health("type: TCP").expect("a plan");
    let nothing = HealthProbe::Tcp {
        send: Vec::new(),
        receive: Vec::new(),
    };
    assert_eq!(bare.probe, nothing);
}

#[test]
fn a_balancer_hashes_what_it_is_told_to() {
    let balance = |spec: &str| plan(&format!("loadBalancer: {{{spec}}}")).balance;
    let hash = |spec: &str| match balance(&format!("type: ConsistentHash, consistentHash: {{{spec}}}")) {
        Balance::ConsistentHash(HashPlan { on, table }) => (on, table),
        other => panic!("{other:?}"),
    };
    let (source, maglev) = (HashOn::Source, HashTable::Maglev);
    assert_eq!(balance("type: PeakEWMA"), Balance::PeakEwma);
    assert_eq!(hash("type: SourceIP"), (source.clone(), maglev(65_537)));
    assert_eq!(
        hash("type: SourceIP, tableSize: 1021"),
        (source.clone(), maglev(1021))
    );
    assert_eq!(
        hash("type: SourceIP, algorithm: Ring"),
        (source, HashTable::Ring(1024))
    );
    let names = |names: &[&str]| HashOn::Headers(names.iter().map(|&name| name.to_owned()).collect());
    assert_eq!(hash("type: Header, header: {name: X-User}").0, names(&["x-user"]));
    assert_eq!(
        hash("type: Headers, headers: [{name: X-A}, {name: x-b}]").0,
        names(&["x-a", "x-b"])
    );
    let cookie = HashOn::Cookie {
        name: "Sticky".to_owned(),
        ttl: Some(millis(60_000)),
    };
    assert_eq!(hash("type: Cookie, cookie: {name: Sticky, ttl: 1m}").0, cookie);
    let slow = plan("loadBalancer: {type: RoundRobin, slowStart: {window: 20s}}").slow_start;
    assert_eq!(slow, Some(millis(20_000)));
    assert_eq!(
        plan("loadBalancer: {type: Random, slowStart: {window: 0s}}").slow_start,
        None
    );
}

#[test]
fn the_blocks_of_our_own_have_documented_defaults() {
    let empty = plan("hedge: {}, adaptiveConcurrency: {}, queue: {}, timeout: {http: {autoTimeout: {}}}");
    assert_eq!(empty.hedge, Some(HedgePlan::default()));
    assert_eq!(empty.adaptive, Some(AdaptivePlan::default()));
    assert_eq!(empty.queue, QueuePlan::default());
    assert_eq!(empty.timeouts.auto, Some(AutoTimeout::default()));
    let none = plan("tcpKeepalive: {}");
    assert_eq!(
        (none.hedge, none.adaptive, none.timeouts.auto),
        (None, None, None)
    );
    let full = plan(
        "hedge: {quantile: 0.99, minDelay: 1ms}, adaptiveConcurrency: {minLimit: 1, maxLimit: 2, tolerance: 2}, \
         queue: {interval: 50ms, maxWait: 2s}, timeout: {http: {autoTimeout: {factor: 2.5, least: 3s, most: 4s}}}",
    );
    let hedge = HedgePlan {
        quantile: 0.99,
        least: millis(1),
    };
    assert_eq!(full.hedge, Some(hedge));
    let adaptive = AdaptivePlan {
        least: 1,
        most: 2,
        tolerance: 2.0,
    };
    assert_eq!(full.adaptive, Some(adaptive));
    let queue = QueuePlan {
        interval: millis(50),
        patience: millis(2000),
    };
    assert_eq!(full.queue, queue);
    let auto = AutoTimeout {
        factor: 2.5,
        least: millis(3000),
        most: millis(4000),
    };
    assert_eq!(full.timeouts.auto, Some(auto));
}

const LIMIT: &str = "rateLimit: {type: Local, local: {rules: [{limit: {requests: 5, unit: Second}}]}}";

#[test]
fn a_rate_limit_has_rules_with_conditions_that_all_hold() {
    let limits = "rateLimit: {type: Local, local: {rules: [\
         {clientSelectors: [{headers: [{name: X-Plan, value: free}, {type: Present, name: X-B}]}, \
         {sourceCIDR: {value: 10.0.0.0/8}}, {sourceCIDR: {value: 10.1.0.0/16}}], \
         limit: {requests: 7, unit: Minute}}, \
         {clientSelectors: [{headers: [{type: Distinct, name: X-Key}]}], limit: {requests: 1, unit: Day}}, \
         {clientSelectors: [{sourceCIDR: {type: Distinct, value: '::/0', ipv6PrefixLength: 56}}], limit: {requests: 9, unit: Hour}}]}}";
    let model = model(&[policy("p", OF_ROUTE, limits)]);
    assert_eq!(&*model.rate_limits[0].name, "default/p@default/web");
    let rule = |requests, secs| RateRule {
        headers: Vec::new(),
        sources: Vec::new(),
        distinct: Distinct::Shared,
        client: ClientPrefix::default(),
        requests: NonZeroU32::new(requests).expect("above 0"),
        per: Duration::from_secs(secs),
    };
    let field = |name: &str, test| (name.to_owned(), test);
    let expected = [
        RateRule {
            headers: vec![
                field("x-plan", FieldTest::Exact("free".to_owned())),
                field("x-b", FieldTest::Present),
            ],
            sources: vec![([10, 1, 0, 0].into(), 16)],
            ..rule(7, 60)
        },
        RateRule {
            distinct: Distinct::Header("x-key".to_owned()),
            ..rule(1, 86_400)
        },
        RateRule {
            sources: vec![("::".parse().expect("an address"), 0)],
            distinct: Distinct::Client,
            client: ClientPrefix { v4: 32, v6: 56 },
            ..rule(9, 3600)
        },
    ];
    assert_eq!(model.rate_limits[0].plan.rules, expected);
}

#[test]
fn the_most_specific_policy_bounds_a_route_or_leaves_it_free() {
    let of_gateway = policy("g", "kind: Gateway, name: edge", LIMIT);
    let of_backend = policy("b", OF_BACKEND, "hedge: {}");
    let of_rule = policy("r", &format!("{OF_ROUTE}, sectionName: one"), "hedge: {}");
    let limits = |rest: &[String]| {
        let model = model(rest);
        (limit_of(&model, "/one"), limit_of(&model, "/"))
    };
    let named = |name: &str| Some(name.to_owned());
    let of_both = || named("default/g@default/web");
    assert_eq!(limits(&[]), (None, None));
    assert_eq!(limits(std::slice::from_ref(&of_gateway)), (of_both(), of_both()));
    let with_backend = [of_gateway.clone(), of_backend];
    assert_eq!(limits(&with_backend), (of_both(), of_both()));
    assert_eq!(limits(&[of_gateway.clone(), of_rule]), (None, of_both()));
    let of_route = policy("w", OF_ROUTE, LIMIT);
    assert_eq!(
        limits(&[of_gateway, of_route]),
        (named("default/w@default/web"), named("default/w@default/web"))
    );
}

#[test]
fn each_route_of_a_gateway_has_its_own_buckets_unless_they_are_shared() {
    let other = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: other}\nspec:\n  \
                 rules: [{matches: [{path: {value: /other}}], backendRefs: [{name: api}]}]\n";
    let limits = |limit: &str| {
        let model = model(&[policy("g", "kind: Gateway, name: edge", limit), other.to_owned()]);
        (limit_of(&model, "/"), limit_of(&model, "/other"))
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        limits(LIMIT),
        (named("default/g@default/web"), named("default/g@default/other"))
    );
    let shared = LIMIT.replace("{limit:", "{shared: true, limit:");
    assert_eq!(limits(&shared), (named("default/g"), named("default/g")));
}

#[test]
fn limits_stay_with_the_backend_where_a_policy_of_a_route_speaks_of_requests_only() {
    let of_backend = policy("b", OF_BACKEND, "circuitBreaker: {maxConnections: 8}");
    let retry = "retry: {numRetries: 4, unsafeMethods: ProvenOnly}, timeout: {http: {requestTimeout: 5s}}";
    let joined = model(&[of_backend.clone(), policy("w", OF_ROUTE, retry)]);
    let names: Vec<&str> = joined.clusters.iter().map(|cluster| &*cluster.name).collect();
    assert_eq!(names, ["default/api"], "one cluster, so one count");
    assert_eq!(joined.clusters[0].plan.limits.max_connections, 8);
    let matched = joined
        .routes
        .find(ListenerId(0), "", &Request("/"))
        .expect("a route");
    assert_eq!(matched.route.request_timeout, Some(Limit::After(millis(5000))));
    let Some(RetryPlan::Owner(owner)) = &matched.route.retry else {
        panic!("{:?}", matched.route.retry)
    };
    assert_eq!(
        (owner.attempts, owner.unsafe_methods),
        (4, UnsafeMethods::ProvenOnly)
    );
    // Where it says more, the Backend is two clusters, and that is told.
    let split = text(&[
        of_backend,
        policy(
            "w",
            &format!("{OF_ROUTE}, sectionName: one"),
            "loadBalancer: {type: Random}",
        ),
    ]);
    let split = read(&[source("gateway.yaml", &split)], &ReadOptions::default()).expect("a warning at most");
    let told: Vec<&str> = split
        .warnings
        .list()
        .iter()
        .map(|told| told.code.number())
        .collect();
    assert_eq!((split.clusters.len(), told), (2, vec!["EK0109"]));
}

#[test]
fn a_reload_tells_of_changed_rate_limits() {
    let of = |spec: &str| model(&[policy("p", OF_ROUTE, spec)]);
    let (old, new) = (of(LIMIT), of(&LIMIT.replace("requests: 5", "requests: 6")));
    assert_eq!(changes(&old, &of(LIMIT)), Vec::<String>::new());
    assert_eq!(changes(&old, &new), ["rate limit default/p@default/web changed"]);
    assert_eq!(
        changes(&old, &of("hedge: {}")),
        [
            "cluster default/api@default/web added",
            "cluster default/api removed",
            "rate limit default/p@default/web removed"
        ]
    );
}

#[test]
fn a_rate_limit_of_a_backend_is_told_where_it_belongs() {
    let text = text(&[policy("p", OF_BACKEND, LIMIT)]);
    insta::assert_snapshot!(mistakes(&text).render(false));
}

#[test]
fn every_mistake_in_the_overload_blocks_says_what_would_be_right() {
    let specs = [
        "circuitBreaker: {retryBudget: {percent: 101}}",
        "circuitBreaker: {retryBudget: {percent: half}}",
        "circuitBreaker: {retryBudget: {percent: {denominator: 3}}}",
        "circuitBreaker: {retryBudget: {percent: {numerator: 4, denominator: 3}}}",
        "circuitBreaker: {retryBudget: {}}, retryConstraint: {}",
        "retryConstraint: {budgt: {percent: 5}}",
        "hedge: {quantile: 1}",
        "hedge: {quantile: '0.9'}",
        "hedge: true",
        "adaptiveConcurrency: {minLimit: 5000}",
        "timeout: {http: {autoTimeout: {least: 2m}}}",
        "timeout: {http: {autoTimeout: {}, requestTimeout: 1s}}",
        "loadBalancer: {type: ConsistentHash}",
        "loadBalancer: {type: ConsistentHsh}",
        "loadBalancer: {type: Random, consistentHash: {type: SourceIP}}",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: Header, cookie: {name: a}}}",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP, tableSize: 1024}}",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP}, slowStart: {window: 1s}}",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: Cookie, cookie: {name: 'a b', ttl: 1ms}}}",
        "healthCheck: {active: {type: HTTP}}",
        "healthCheck: {active: {type: GRPC, grpc: {}}}",
        "healthCheck: {active: {type: TCP, http: {path: /}}}",
        "healthCheck: {active: {type: TCP, tcp: {send: {type: Binary, text: a}}}}",
        "healthCheck: {active: {type: TCP, tcp: {send: {type: Binary, binary: a}}}}",
        "healthCheck: {active: {type: HTTP, http: {path: up, expectedStatuses: [600]}}}",
        "healthCheck: {active: {type: HTTP, http: {path: /, expectedStatuses: [200, 503], retriableStatuses: [503]}}}",
        "healthCheck: {active: {type: HTTP, http: {path: /, method: HEAD, expectedResponse: {type: Text, text: ok}}}}",
        "healthCheck: {passive: {maxEjectionTime: 1s}}",
        "healthCheck: {passive: {consecutive5xxErrors: 1}}",
    ];
    let told: String = specs
        .iter()
        .map(|spec| format!("{spec}\n{}", wrong(OF_BACKEND, spec)))
        .collect();
    insta::assert_snapshot!(told);
}

#[test]
fn every_mistake_in_a_rate_limit_says_what_would_be_right() {
    let limit = "limit: {requests: 1, unit: Second}";
    let rules = |rules: &str| format!("rateLimit: {{type: Local, local: {{rules: [{rules}]}}}}");
    let of = |selector: &str| rules(&format!("{{clientSelectors: [{selector}], {limit}}}"));
    let specs = [
        "rateLimit: {type: Global, global: {rules: []}}".to_owned(),
        "rateLimit: {type: Local}".to_owned(),
        rules(""),
        rules("{limit: {requests: 0, unit: Fortnight}}"),
        rules(&format!("{{shared: true, {limit}}}, {{{limit}}}")),
        "rateLimit: {}".to_owned(),
        of("{}"),
        of("{headers: [{name: a}]}"),
        of("{headers: [{type: Distinct, name: a, value: b}]}"),
        of("{headers: [{type: Distinct, name: a}, {type: Distinct, name: b}]}"),
        of("{headers: [{type: Regex, name: a, value: b}]}"),
        of("{sourceCIDR: {value: 10.0.0.1}}"),
        of("{sourceCIDR: {value: '::1'}}"),
        of("{sourceCIDR: {value: 10.0.0.0/33}}"),
        of("{sourceCIDR: {value: 10.0.0.0/8}}, {sourceCIDR: {value: 11.0.0.0/8}}"),
        of("{path: {value: /a}}"),
    ];
    let told: String = specs
        .iter()
        .map(|spec| format!("{spec}\n{}", wrong(OF_ROUTE, spec)))
        .collect();
    insta::assert_snapshot!(told);
}

#[test]
fn a_network_with_bits_past_its_prefix_is_used_with_a_warning() {
    let limit = "rateLimit: {type: Local, local: {rules: [{clientSelectors: [{sourceCIDR: {value: 10.1.2.3/8}}], \
                 limit: {requests: 1, unit: Second}}]}}";
    let text = text(&[policy("p", OF_ROUTE, limit)]);
    let model = read(&[source("gateway.yaml", &text)], &ReadOptions::default()).expect("only a warning");
    assert_eq!(
        model.rate_limits[0].plan.rules[0].sources,
        [([10, 0, 0, 0].into(), 8)]
    );
    assert!(
        model.warnings.render_list(false).contains("write `10.0.0.0/8`"),
        "{}",
        model.warnings
    );
}
