//! `/stats/prometheus` of many clusters: its size, its time, and what it leaves behind.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Peer, Upstream, free_port, yaml};

/// A gateway with so many routes, each with a backend of its own.
fn with_clusters(count: usize, upstream: &Upstream) -> Gateway {
    let mut text = yaml::gateway(free_port());
    for number in 0..count {
        let name = format!("backend-with-a-usual-name-{number}");
        let rule = format!(
            "  - matches: [{{path: {{type: PathPrefix, value: /{number}}}}}]\n    backendRefs: [{}]\n",
            yaml::reference(&name)
        );
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{}{}",
            yaml::route(&name, &rule),
            yaml::backend(&name, &[upstream.address])
        );
    }
    Gateway::configured(&text)
}

#[test]
fn a_page_of_a_thousand_clusters_is_small_soon_there_and_leaves_nothing_behind() {
    let upstream = Upstream::saying("ok");
    let gateway = with_clusters(1000, &upstream);
    for number in 0..100 {
        assert_eq!(gateway.get("a", &format!("/{number}")).status(), 200);
    }
    let scrape = || {
        let since = Instant::now();
        let page = gateway.admin_get("/stats/prometheus");
        (page.text(), since.elapsed())
    };
    let (page, _) = scrape();
    assert!(page.contains(
        "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"default/backend-with-a-usual-name-7\"} 1"
    ));
    assert!(page.contains(
        "envoy_cluster_membership_healthy{envoy_cluster_name=\"default/backend-with-a-usual-name-999\"} 1"
    ));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    let before = gateway.resident_bytes();
    let times: Vec<Duration> = (0..20).map(|_| scrape().1).collect();
    let after = gateway.resident_bytes();
    let growth = after.saturating_sub(before);
    assert!(growth < 4 * 1024 * 1024, "20 pages left {growth} bytes behind");
    // In a debug build, on a busy machine; 50 ms are for a release on two quiet cores.
    let least = times.iter().min().expect("20 times");
    assert!(*least < Duration::from_millis(1500), "{times:?}");
    eprintln!(
        "{} bytes, {least:?} at least, {growth} bytes of growth",
        page.len()
    );
}

#[test]
fn open_metrics_are_given_to_whoever_accepts_them() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    gateway.get("a", "/");
    let mut admin = Peer::connect(gateway.admin);
    admin.send(
        "GET /stats/prometheus HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0,\
         text/plain;q=0.5\r\nConnection: close\r\n\r\n",
    );
    let told = admin.response();
    assert_eq!(
        told.field("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{told:?}"
    );
    let page = told.text();
    assert!(page.ends_with("# EOF\n"), "{page}");
    for line in [
        "# TYPE process_cpu_seconds counter\n",
        "# UNIT process_resident_memory_bytes bytes\n",
        "evenkeel_build_info{version=\"",
    ] {
        assert!(page.contains(line), "{page}");
    }
}
