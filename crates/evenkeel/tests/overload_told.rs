//! What is told of overload: gauges of the limits, the state of the queue, endpoints one by one, and a
//! warning before a pool is full.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Gateway, Peer, Upstream, eventually, free_port, reply, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// An upstream that answers a request for each word it is given.
fn held() -> (Upstream, Sender<()>) {
    let (go, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Arc::new(Mutex::new(wait));
    let upstream = Upstream::answering(move |_| {
        let turn = wait.lock().expect("no panic");
        let _ = turn.recv_timeout(Duration::from_secs(10));
        reply("ok")
    });
    (upstream, go)
}

fn limited(upstream: &Upstream, limits: &str) -> Gateway {
    let spec = format!("  circuitBreaker: {limits}\n  queue: {{maxWait: 10s}}\n");
    Gateway::configured(&yaml::simple(free_port(), upstream.address, &spec))
}

/// Clients that each have sent a request.
fn asking(gateway: &Gateway, count: usize) -> Vec<Peer> {
    let one = |_| {
        let mut client = gateway.connect();
        client.send(GET);
        client
    };
    (0..count).map(one).collect()
}

#[test]
fn the_gauges_say_which_limit_is_met_and_what_is_left() {
    let (upstream, go) = held();
    let gateway = limited(&upstream, "{maxConnections: 2, maxPendingRequests: 1}");
    let breaker = |name: &str| gateway.stat(&format!("circuit_breakers.default.{name}"));
    assert_eq!((breaker("cx_open"), breaker("remaining_cx")), (0, 2));
    let mut clients = asking(&gateway, 2);
    eventually("both to be in flight", || (breaker("cx_open") == 1).then_some(()));
    assert_eq!(breaker("rq_pending_open"), 0);
    clients.extend(asking(&gateway, 1));
    eventually("one to wait", || (breaker("rq_pending_open") == 1).then_some(()));
    assert_eq!((breaker("remaining_cx"), breaker("remaining_pending")), (0, 0));
    assert_eq!(gateway.stat("evenkeel.pool_used_percent"), 100);
    let waits = || gateway.stat("evenkeel.queue_oldest_wait_ms");
    eventually("the wait to show", || (waits() >= 20).then_some(()));
    let clusters = gateway.admin_get("/clusters").text();
    assert!(clusters.contains("::evenkeel_queue_waiting::1\n"), "{clusters}");

    (0..3).for_each(|_| go.send(()).expect("it waits"));
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    eventually("all limits to be free", || {
        (breaker("cx_open") == 0).then_some(())
    });
    assert_eq!((breaker("remaining_cx"), breaker("remaining_pending")), (2, 1));
    assert_eq!(waits(), 0);
}

#[test]
fn a_pool_that_is_used_to_80_percent_is_warned_of_once() {
    let (upstream, go) = held();
    let gateway = limited(&upstream, "{maxConnections: 5}");
    let warnings = || {
        let said = gateway.said();
        said.lines()
            .filter(|line| line.contains("of the connections that it may have"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut clients = asking(&gateway, 3);
    eventually("three in flight", || {
        (gateway.stat("evenkeel.pool_used_percent") == 60).then_some(())
    });
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(warnings().len(), 0, "{:?}", warnings());
    clients.extend(asking(&gateway, 1));
    let warned = eventually("the warning", || warnings().into_iter().next());
    assert!(
        warned.contains("WARN")
            && warned.contains("default/app uses 80 %")
            && warned.contains("maxConnections"),
        "{warned}"
    );
    clients.extend(asking(&gateway, 1));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(warnings().len(), 1, "once a minute: {:?}", warnings());
    (0..5).for_each(|_| go.send(()).expect("it waits"));
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn clusters_tell_of_each_endpoint_what_it_did() {
    let upstream = Upstream::answering(|request| match request.target() == "/bad" {
        true => "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
        false => reply("ok"),
    });
    let gateway = Gateway::before(&upstream);
    for path in ["/", "/", "/", "/bad"] {
        gateway.get("a", path);
    }
    let clusters = gateway.admin_get("/clusters").text();
    for (name, figure) in [
        ("rq_total", "4"),
        ("rq_success", "3"),
        ("rq_error", "1"),
        ("rq_timeout", "0"),
        ("cx_total", "1"),
        ("cx_connect_fail", "0"),
        ("weight", "1"),
        ("success_rate", "75.0"),
        ("health_flags", "healthy"),
    ] {
        let line = format!("::{}::{name}::{figure}\n", upstream.address);
        assert!(clusters.contains(&line), "no {line} in\n{clusters}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&gateway.admin_get("/clusters?format=json").text()).expect("JSON");
    assert_eq!(json["cluster_statuses"][0]["host_statuses"][0]["rq_success"], 3);
}

#[test]
fn prometheus_gets_the_figures_that_the_alert_rules_ask_for() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    gateway.get("a", "/");
    let page = gateway.admin_get("/stats/prometheus").text();
    for family in [
        "envoy_cluster_circuit_breakers_default_cx_open",
        "envoy_cluster_outlier_detection_ejections_active",
        "envoy_cluster_membership_healthy",
        "evenkeel_pool_used_ratio",
        "evenkeel_queue_overloaded",
    ] {
        assert!(
            page.lines().any(|line| line.starts_with(family)),
            "no {family} in\n{page}"
        );
    }
}
