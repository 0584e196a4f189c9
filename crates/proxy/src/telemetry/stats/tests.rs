use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use insta::assert_snapshot;
use policy::cluster::{
    Address, Counters, EndpointId, EndpointReport, Gauges, LastError, QueueReport, ServiceReport, Vitals,
};
use policy::health::HealthCounters;
use policy::keepalive::{Knowledge, Limit, Source};
use policy::latency::auto_timeout;
use policy::outlier::OutlierCounters;
use policy::plan::{AutoTimeout, Limits};
use regex::Regex;

use super::*;
use crate::telemetry::stats::reloads::Reloads;
use crate::telemetry::stats::view::NameView;

/// A cluster that met two races and has one endpoint.
pub(crate) fn cluster_view(name: &str) -> ClusterView {
    let wall = Duration::from_millis(5001);
    let reuse = Duration::from_millis(4900);
    let limit = Limit {
        reuse,
        safe: reuse,
        unexplored: false,
        wary: None,
        unsolicited: false,
        source: Source::Learned { closes: 41, wall },
    };
    let knowledge = Knowledge {
        limit,
        hint: None,
        wall: None,
        closes: 41,
        scatter: 0,
        resets: 2,
    };
    let endpoint = EndpointReport {
        endpoint: EndpointId(1),
        address: Address::Ip(([127, 0, 0, 1], 3000).into()),
        open: 2,
        active: 1,
        idle: 1,
        oldest_idle: Some(Duration::from_millis(1250)),
        probe: false,
        stragglers: 0,
        followed: false,
        uses: 120,
        opened: 5,
        connect_failures: 3,
        timeouts: 1,
        round_trip: Some(Duration::from_micros(350)),
        leaving: false,
        service: ServiceReport {
            rq_success: 118,
            rq_error: 2,
            failing: true,
            ..ServiceReport::default()
        },
        last_error: Some(LastError {
            words: "it answered 503".into(),
            ago: Duration::from_millis(1500),
            in_a_row: 2,
        }),
        speaks: None,
        adaptive_limit: None,
        knowledge,
        sentence: knowledge.sentence(),
    };
    let counters = Counters {
        cx_total: 5,
        rq_total: 120,
        rq_class: [0, 0, 118, 0, 0, 2],
        rq_status: [(200, 118), (503, 2)].into(),
        race_met: 2,
        race_checked: 1,
        race_replayed: 1,
        ..Counters::default()
    };
    let gauges = Gauges {
        cx_active: 2,
        rq_active: 1,
        membership_total: 1,
        ..Gauges::default()
    };
    ClusterView {
        name: name.to_owned(),
        limits: Limits::default(),
        counters,
        gauges,
        vitals: Vitals {
            queue: QueueReport {
                waiting: 3,
                overloaded: true,
                oldest_wait: Duration::from_millis(120),
                shed: 7,
            },
            remaining_cx: 200,
            remaining_pending: 1021,
            remaining_rq: 1023,
            remaining_retries: 0,
            pool_used_percent: 80,
            membership_total: 1,
            membership_healthy: 1,
            membership_failing: 1,
            ejections_active: 0,
            panics: false,
        },
        outliers: OutlierCounters {
            ejections_enforced_total: 1,
            ejections_overflow: 2,
            detected: [0, 3, 0, 0, 0, 0, 0],
            enforced: [0, 1, 0, 0, 0, 0, 0],
        },
        checks: Some(HealthCounters {
            attempt: 10,
            success: 9,
            failure: 1,
            network_failure: 1,
        }),
        auto_timeout: Some(auto_timeout(
            &AutoTimeout::default(),
            Some(Duration::from_millis(500)),
        )),
        hedge_wait: Some(Duration::from_millis(40)),
        names: vec![NameView {
            name: "web.internal".into(),
            addresses: 1,
            error: Some("there is no such name (NXDOMAIN)".into()),
            since: Duration::from_secs(12),
            attempts: 9,
            failures: 3,
        }],
        endpoints: vec![EndpointView {
            report: endpoint,
            weight: 1,
        }],
    }
}

/// Two workers that served a little.
pub(crate) fn workers() -> Vec<Arc<WorkerStats>> {
    let workers = vec![Arc::new(WorkerStats::default()), Arc::new(WorkerStats::default())];
    for (worker, millis) in workers.iter().zip([3, 20]) {
        worker.cx_opened();
        worker.rq_total.add(60);
        worker.rq_class(200).add(59);
        worker.rq_time.record(Duration::from_millis(millis));
        worker.adopt([&"default/web".into()])[0]
            .rq_time
            .record(Duration::from_millis(millis));
    }
    workers[0].cx_closed();
    workers
}

/// A start and a rejected reload.
pub(crate) fn reloads() -> Reloads {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut reloads = Reloads::start(at(1_700_000_000));
    reloads.on_rejected(
        "gateway.yaml:3:1: there is no field `nonsense` (EK0003)",
        at(1_700_000_060),
    );
    reloads
}

pub(crate) const SERVER: ServerView = ServerView {
    state: Liveness::Live,
    uptime: Duration::from_secs(90),
    workers: 2,
};

/// The process, and a cluster.
fn parts() -> [Snapshot; 2] {
    let log = LogCounts::default();
    log.dropped.fetch_add(7, Relaxed);
    let workers = workers();
    let certificate = CertificateView {
        name: "Secret default/shop".to_owned(),
        not_after: 1_800_000_000,
    };
    let process = Snapshot::of_process(SERVER, &reloads(), &workers, &log);
    let mut process = process.with_certificates(&[certificate], 1_800_000_000 - 30 * 24 * 3600);
    // What the kernel says of this process is not the same twice.
    process
        .samples
        .retain(|sample| !sample.name.starts_with("process."));
    [
        process,
        Snapshot::of_cluster(&cluster_view("default/web"), &workers, Detail::Full),
    ]
}

fn text(selection: Selection) -> String {
    let [process, cluster] = parts();
    let [before, after] = process.split_at("cluster.");
    let mut text = Text::new(selection);
    [before, cluster, after].iter().for_each(|part| text.add(part));
    text.finish()
}

fn json(selection: Selection) -> serde_json::Value {
    let mut json = JsonForm::new(selection);
    parts().iter().for_each(|part| json.add(part));
    json.finish()
}

fn page(form: Form, selection: Selection) -> String {
    let [process, cluster] = parts();
    let mut page = Exposition::new(form, selection);
    page.add_process(process);
    page.add_cluster(cluster);
    page.finish().concat()
}

fn prometheus(selection: Selection) -> String {
    page(Form::Text, selection)
}

const ALL: Selection = Selection {
    filter: None,
    used_only: false,
    unused: true,
};

#[test]
fn the_text_form_is_envoys() {
    let used = Selection {
        filter: None,
        used_only: true,
        unused: false,
    };
    assert_snapshot!(text(used), @r"
    access_log.dropped: 7
    cluster.default/web.circuit_breakers.default.remaining_cx: 200
    cluster.default/web.circuit_breakers.default.remaining_pending: 1021
    cluster.default/web.circuit_breakers.default.remaining_rq: 1023
    cluster.default/web.circuit_breakers.default.rq_retry_open: 1
    cluster.default/web.evenkeel.auto_timeout_ms: 2500
    cluster.default/web.evenkeel.endpoint.127.0.0.1:3000.reuse_limit_ms: 4900
    cluster.default/web.evenkeel.hedge_wait_ms: 40
    cluster.default/web.evenkeel.membership_failing: 1
    cluster.default/web.evenkeel.names_unresolved: 1
    cluster.default/web.evenkeel.pool_used_percent: 80
    cluster.default/web.evenkeel.queue_oldest_wait_ms: 120
    cluster.default/web.evenkeel.queue_overloaded: 1
    cluster.default/web.evenkeel.queue_shed: 7
    cluster.default/web.evenkeel.race_checked: 1
    cluster.default/web.evenkeel.race_met: 2
    cluster.default/web.evenkeel.race_replayed: 1
    cluster.default/web.health_check.attempt: 10
    cluster.default/web.health_check.failure: 1
    cluster.default/web.health_check.healthy: 1
    cluster.default/web.health_check.network_failure: 1
    cluster.default/web.health_check.success: 9
    cluster.default/web.membership_healthy: 1
    cluster.default/web.membership_total: 1
    cluster.default/web.outlier_detection.ejections_detected_consecutive_gateway_failure: 3
    cluster.default/web.outlier_detection.ejections_enforced_consecutive_gateway_failure: 1
    cluster.default/web.outlier_detection.ejections_enforced_total: 1
    cluster.default/web.outlier_detection.ejections_overflow: 2
    cluster.default/web.update_attempt: 9
    cluster.default/web.update_failure: 3
    cluster.default/web.update_success: 6
    cluster.default/web.upstream_cx_active: 2
    cluster.default/web.upstream_cx_total: 5
    cluster.default/web.upstream_rq_200: 118
    cluster.default/web.upstream_rq_2xx: 118
    cluster.default/web.upstream_rq_503: 2
    cluster.default/web.upstream_rq_5xx: 2
    cluster.default/web.upstream_rq_active: 1
    cluster.default/web.upstream_rq_total: 120
    evenkeel.build_info: 1
    evenkeel.config.last_reload_success_timestamp_seconds: 1700000000
    http.ingress.downstream_cx_active: 1
    http.ingress.downstream_cx_destroy: 1
    http.ingress.downstream_cx_total: 2
    http.ingress.downstream_rq_2xx: 118
    http.ingress.downstream_rq_total: 120
    listener.ssl.certificate.Secret default/shop.expiration_unix_time_seconds: 1800000000
    listener_manager.lds.update_attempt: 2
    listener_manager.lds.update_rejected: 1
    listener_manager.lds.update_success: 1
    server.concurrency: 2
    server.days_until_first_cert_expiring: 30
    server.live: 1
    server.uptime: 90
    cluster.default/web.upstream_rq_time: P0(nan,2.9) P25(nan,2.95) P50(nan,3) P75(nan,19.5) P90(nan,19.8) P95(nan,19.9) P99(nan,19.98) P99.5(nan,19.99) P99.9(nan,19.998) P100(nan,20)
    http.ingress.downstream_rq_time: P0(nan,2.9) P25(nan,2.95) P50(nan,3) P75(nan,19.5) P90(nan,19.8) P95(nan,19.9) P99(nan,19.98) P99.5(nan,19.99) P99.9(nan,19.998) P100(nan,20)
    ");
}

#[test]
fn a_filter_and_usedonly_leave_out_what_does_not_match_and_what_is_zero() {
    let selection = |used_only| Selection {
        filter: Some(Regex::new(r"web\.upstream_cx_to|active$").unwrap()),
        used_only,
        unused: false,
    };
    let count = |used_only| text(selection(used_only)).lines().count();
    assert_eq!((count(false), count(true)), (9, 4));
}

#[test]
fn a_histogram_without_values_says_so() {
    let selection = Selection {
        filter: Some(Regex::new("connect_ms").unwrap()),
        used_only: false,
        unused: false,
    };
    assert_eq!(
        text(selection),
        "cluster.default/web.upstream_cx_connect_ms: No recorded values\n"
    );
}

#[test]
fn the_json_form_is_envoys() {
    let selection = Selection {
        filter: Some(Regex::new("upstream_cx_total|web.upstream_rq_time$").unwrap()),
        used_only: false,
        unused: false,
    };
    let json = json(selection);
    assert_eq!(
        json["stats"][0],
        serde_json::json!({ "name": "cluster.default/web.upstream_cx_total", "value": 5 })
    );
    let histograms = &json["stats"][1]["histograms"];
    assert_eq!(histograms["supported_quantiles"][7], 99.5);
    assert_eq!(
        histograms["computed_quantiles"][0]["name"],
        "cluster.default/web.upstream_rq_time"
    );
    assert_eq!(
        histograms["computed_quantiles"][0]["values"][9]["cumulative"],
        20.0
    );
}

#[test]
fn the_prometheus_form_has_envoys_families_and_ours() {
    let filter =
        Regex::new("upstream_(cx_total|rq_2|rq_time$)|race|reuse|downstream_cx_active|live").unwrap();
    let page = prometheus(Selection {
        filter: Some(filter),
        used_only: true,
        unused: false,
    });
    assert_snapshot!(page, @r#"
    # HELP envoy_cluster_upstream_cx_total Connections opened.
    # TYPE envoy_cluster_upstream_cx_total counter
    envoy_cluster_upstream_cx_total{envoy_cluster_name="default/web"} 5
    # HELP envoy_cluster_upstream_rq Responses of the upstream, by status.
    # TYPE envoy_cluster_upstream_rq counter
    envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="default/web"} 118
    # HELP envoy_cluster_upstream_rq_time From a request's first byte upstream to its response's last, in ms.
    # TYPE envoy_cluster_upstream_rq_time histogram
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="0.5"} 0
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="1"} 0
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="5"} 1
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="10"} 1
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="25"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="50"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="100"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="250"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="500"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="1000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="2500"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="5000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="10000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="30000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="60000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="300000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="600000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="1800000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="3600000"} 2
    envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="default/web",le="+Inf"} 2
    envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="default/web"} 23
    envoy_cluster_upstream_rq_time_count{envoy_cluster_name="default/web"} 2
    # HELP envoy_cluster_upstream_rq_xx Responses of the upstream, by class of their status.
    # TYPE envoy_cluster_upstream_rq_xx counter
    envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="default/web"} 118
    # HELP envoy_http_downstream_cx_active Connections open.
    # TYPE envoy_http_downstream_cx_active gauge
    envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix="ingress"} 1
    # HELP envoy_server_live 1 while new requests are welcome.
    # TYPE envoy_server_live gauge
    envoy_server_live 1
    # HELP evenkeel_race_absorbed_total Races that no client saw, by the layer that absorbed them.
    # TYPE evenkeel_race_absorbed_total counter
    evenkeel_race_absorbed_total{cluster="default/web",layer="checkout"} 1
    evenkeel_race_absorbed_total{cluster="default/web",layer="replay"} 1
    # HELP evenkeel_race_met_total Requests that met a connection which the upstream was closing.
    # TYPE evenkeel_race_met_total counter
    evenkeel_race_met_total{cluster="default/web"} 2
    # HELP evenkeel_reuse_limit_seconds Idle age from which a connection to the endpoint is not used for requests again.
    # TYPE evenkeel_reuse_limit_seconds gauge
    evenkeel_reuse_limit_seconds{cluster="default/web",endpoint="127.0.0.1:3000"} 4.9
    "#);
}

#[test]
fn the_prometheus_form_is_valid() {
    let views = [
        cluster_view("default/web"),
        cluster_view("odd \"name\" \\ of\na cluster"),
    ];
    let of = |selection: Selection| {
        let mut page = Exposition::new(Form::Text, selection);
        let workers = workers();
        page.add_process(Snapshot::of_process(
            SERVER,
            &reloads(),
            &workers,
            &LogCounts::default(),
        ));
        views
            .iter()
            .for_each(|view| page.add_cluster(Snapshot::of_cluster(view, &workers, Detail::Full)));
        page.finish().concat()
    };
    assert!(check_exposition(&of(Selection::default())) > 100);
    let page = of(ALL);
    let series = check_exposition(&page);
    assert!(series > 200, "{series} series");
    assert!(page.contains(r#"envoy_cluster_name="odd \"name\" \\ of\na cluster"}"#));
}

/// Checks a page against the text format, version 0.0.4: each family has one help and one type and
/// is in one piece, each series belongs to the family above it and is there once, histograms are
/// cumulative and whole. Gives the number of series.
fn check_exposition(page: &str) -> usize {
    let name = Regex::new("^[a-zA-Z_:][a-zA-Z0-9_:]*$").unwrap();
    let line = Regex::new(r#"^([a-z0-9_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? ([0-9.e+-]+)$"#)
        .unwrap();
    let (mut families, mut seen, mut family, mut kind) = (BTreeSet::new(), BTreeSet::new(), "", "");
    let mut bucket: Option<(String, f64)> = None;
    assert!(page.ends_with('\n'));
    for text in page.lines() {
        if let Some(help) = text.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(name.is_match(family) && families.insert(family), "{text}");
            assert!(help.len() > family.len() + 1, "{text}");
            continue;
        }
        if let Some(declared) = text.strip_prefix("# TYPE ") {
            let (of, is) = declared.split_once(' ').unwrap();
            assert_eq!(of, family);
            assert!(["counter", "gauge", "histogram"].contains(&is), "{text}");
            kind = is;
            continue;
        }
        let parts = line.captures(text).unwrap_or_else(|| panic!("no series: {text}"));
        let (series, labels) = (&parts[1], parts.get(2).map_or("", |labels| labels.as_str()));
        let value: f64 = parts[3].parse().unwrap();
        assert!(
            seen.insert((series.to_owned(), labels.to_owned())),
            "twice: {text}"
        );
        if kind != "histogram" {
            assert_eq!(series, family, "{text}");
            continue;
        }
        let suffix = series.strip_prefix(family).unwrap();
        if suffix == "_bucket" {
            let (of, bound) = labels.rsplit_once("le=").unwrap();
            if let Some((before, count)) = bucket.take()
                && before == of
            {
                assert!(value >= count, "not cumulative: {text}");
            }
            bucket = (bound != "\"+Inf\"").then(|| (of.to_owned(), value));
        } else {
            assert!(["_sum", "_count"].contains(&suffix) && bucket.is_none(), "{text}");
        }
    }
    seen.len()
}

#[test]
fn a_gauge_does_not_go_below_zero() {
    let stats = WorkerStats::default();
    stats.cx_closed();
    assert_eq!((stats.cx_active.get(), stats.cx_destroy.get()), (0, 1));
}

#[test]
fn a_cluster_that_is_gone_is_forgotten_and_the_others_keep_their_times() {
    let stats = Arc::new(WorkerStats::default());
    let [gone, kept, new]: [Arc<str>; 3] = ["gone", "kept", "new"].map(Into::into);
    for times in stats.adopt([&gone, &kept]) {
        times.rq_time.record(Duration::from_millis(1));
    }
    let times = stats.adopt([&new, &kept]);
    times[0].rq_time.record(Duration::from_millis(2));
    times[0].rq_time.record(Duration::from_millis(2));
    let workers = [stats];
    let count = |name| cluster(&workers, name).rq_time.count();
    assert_eq!([count("gone"), count("kept"), count("new")], [0, 1, 2]);
}

#[test]
fn every_metric_is_in_the_manual() {
    let manual = include_str!("../../../../../docs/metrics.md");
    let page = prometheus(ALL);
    for family in page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
    {
        assert!(
            manual.contains(&format!("`{family}`")),
            "{family} is not in docs/metrics.md"
        );
    }
}

/// What `promtool check metrics` complains of, of names that are ours to choose.
#[test]
fn names_of_ours_follow_the_habits_of_prometheus() {
    let page = prometheus(ALL);
    let families = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let ours = families.filter(|(name, _)| !name.starts_with("envoy_"));
    let mut count = 0;
    for (name, kind) in ours {
        count += 1;
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let units = [
            "_ms",
            "_milliseconds",
            "_percent",
            "_micros",
            "_kilobytes",
            "_bucket",
            "_count",
            "_sum",
        ];
        assert!(!units.iter().any(|unit| name.ends_with(unit)), "{name}");
        assert!(!name.contains(kind), "{name} says that it is a {kind}");
    }
    assert!(count > 15, "{count} families");
}

#[test]
fn what_never_happened_in_a_cluster_is_left_out_unless_it_is_asked_for() {
    let view = ClusterView {
        counters: Counters::default(),
        gauges: Gauges {
            membership_total: 1,
            ..Gauges::default()
        },
        vitals: Vitals {
            membership_total: 1,
            membership_healthy: 1,
            ..Vitals::default()
        },
        outliers: OutlierCounters::default(),
        checks: None,
        auto_timeout: None,
        hedge_wait: None,
        names: Vec::new(),
        endpoints: Vec::new(),
        ..cluster_view("default/idle")
    };
    let of = |selection| {
        let mut page = Exposition::new(Form::Text, selection);
        let detail = page.detail();
        page.add_cluster(Snapshot::of_cluster(&view, &[], detail));
        page.finish().concat()
    };
    let series = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let membership = |name: &str| format!("envoy_cluster_{name}{{envoy_cluster_name=\"default/idle\"}} 1");
    assert_eq!(
        series(&of(Selection::default())),
        [membership("membership_healthy"), membership("membership_total")]
    );
    let all = series(&of(ALL));
    assert!(all.len() > 100, "{} series", all.len());
}

/// Leaving out before naming is the same page as naming all and leaving out after.
#[test]
fn the_page_is_the_same_whether_numbers_are_left_out_early_or_late() {
    let of = |detail| {
        let mut page = Exposition::new(Form::Text, Selection::default());
        page.add_cluster(Snapshot::of_cluster(
            &cluster_view("default/web"),
            &workers(),
            detail,
        ));
        page.finish().concat()
    };
    let early = of(Detail::Happened);
    assert_eq!(early, of(Detail::Full));
    assert!(early.len() > 1000, "{early}");
}

#[test]
fn open_metrics_keep_the_names_and_say_where_they_end() {
    let page = page(Form::OpenMetrics, ALL);
    assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1);
    for line in [
        "# TYPE evenkeel_race_met counter",
        "evenkeel_race_met_total{cluster=\"default/web\"} 2",
        // A counter of OpenMetrics must end with `_total`, and this one is Envoy's.
        "# TYPE envoy_cluster_upstream_cx_destroy unknown",
        "# TYPE evenkeel_reuse_limit_seconds gauge",
        "# UNIT evenkeel_reuse_limit_seconds seconds",
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"default/web\",le=\"5.0\"} 1",
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"default/web\",le=\"+Inf\"} 2",
        "evenkeel_pool_used_ratio{cluster=\"default/web\"} 0.8",
    ] {
        assert!(page.lines().any(|one| one == line), "no {line} in\n{page}");
    }
    let names = |page: &str| -> BTreeSet<String> {
        let series = page.lines().filter(|line| !line.starts_with('#'));
        let names = series.filter_map(|line| line.split(['{', ' ']).next());
        names.map(str::to_owned).collect()
    };
    assert_eq!(
        names(&page),
        names(&prometheus(ALL)),
        "no series has another name"
    );
}

#[test]
fn open_metrics_are_given_to_whoever_accepts_them() {
    let prometheus_server = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                             text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    assert_eq!(Form::accepted(prometheus_server), Form::OpenMetrics);
    assert_eq!(
        Form::accepted("text/plain, Application/OpenMetrics-Text"),
        Form::OpenMetrics
    );
    for accept in [
        "",
        "*/*",
        "text/plain;version=0.0.4",
        "application/openmetrics-text;q=0, */*",
    ] {
        assert_eq!(Form::accepted(accept), Form::Text, "{accept}");
    }
}

#[test]
fn every_alert_asks_for_metrics_that_there_are() {
    let rules = include_str!("../../../../../docs/alerts.yaml");
    let page = prometheus(ALL);
    let families: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let name = Regex::new(r"\b(?:envoy|evenkeel)_[a-z0-9_]+").unwrap();
    let labels = [
        "envoy_cluster_name",
        "envoy_response_code_class",
        "envoy_response_code",
    ];
    let asked: BTreeSet<&str> = name.find_iter(rules).map(|found| found.as_str()).collect();
    let metrics: Vec<&str> = asked.into_iter().filter(|name| !labels.contains(name)).collect();
    assert!(metrics.len() >= 8, "{metrics:?}");
    for metric in metrics {
        assert!(families.contains(metric), "docs/alerts.yaml asks for {metric}");
    }
}
