//! Limits: slow or greedy clients hold nothing up, and a full upstream refuses at once.

use std::time::{Duration, Instant};

use crate::harness::{End, Gateway, Message, Upstream, eventually, free_port, reply, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A gateway with these client settings (lines of the ClientTrafficPolicy's spec).
#[track_caller]
fn with_client_policy(upstream: &Upstream, spec: &str) -> Gateway {
    let policy = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: clients}}\nspec:\n  \
         targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: edge}}]\n{spec}---\n"
    );
    Gateway::configured_with(
        &format!("{}{policy}", yaml::simple(free_port(), upstream.address, "")),
        &["--access-log", "json"],
    )
}

/// An upstream that answers after `span`.
fn slow(span: Duration) -> Upstream {
    Upstream::answering(move |_: &Message| {
        std::thread::sleep(span);
        reply("ok")
    })
}

#[test]
fn a_head_that_trickles_in_is_ended_in_total_time() {
    let upstream = Upstream::saying("ok");
    let gateway = with_client_policy(
        &upstream,
        "  timeout: {http: {requestHeadersReceivedTimeout: 300ms}}\n",
    );
    let mut client = gateway.connect();
    let since = Instant::now();
    for byte in GET.bytes() {
        if !client.try_send([byte]) || client.end_within(Duration::from_millis(40)) != End::Open {
            break;
        }
    }
    let took = since.elapsed();
    assert!(
        took > Duration::from_millis(250) && took < Duration::from_millis(900),
        "{took:?}"
    );
    let told = client.response();
    assert_eq!(told.status(), 408);
    assert!(told.connection_says("close"), "{told:?}");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_body_that_stops_coming_is_ended() {
    let upstream = Upstream::scripted(|_, mut peer| drop(peer.rest()));
    let gateway = with_client_policy(&upstream, "  timeout: {http: {streamIdleTimeout: 300ms}}\n");
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    let since = Instant::now();
    let told = client.response();
    assert_eq!(told.status(), 408, "{told:?}");
    let took = since.elapsed();
    assert!(
        took > Duration::from_millis(250) && took < Duration::from_millis(1500),
        "{took:?}"
    );
    assert_ne!(client.end(), End::Open);
}

#[test]
fn an_idle_client_connection_is_closed_quietly() {
    let upstream = Upstream::saying("ok");
    let gateway = with_client_policy(&upstream, "  timeout: {http: {idleTimeout: 300ms}}\n");
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
    let since = Instant::now();
    assert!(client.rest().is_empty(), "no answer without a request");
    assert_eq!(client.end(), End::Fin);
    assert!(since.elapsed() > Duration::from_millis(250) && since.elapsed() < Duration::from_millis(1500));
}

#[test]
fn head_limits_are_the_owners_to_set() {
    let upstream = Upstream::saying("ok");
    let gateway = with_client_policy(
        &upstream,
        "  headers: {maxBytes: 2Ki, maxFields: 5, maxRequestLineBytes: 256}\n",
    );
    let long = "x".repeat(300);
    for (request, status) in [
        (GET.to_owned(), 200),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(5)),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(2048)),
            431,
        ),
    ] {
        assert_eq!(gateway.ask(&request).status(), status, "{request:?}");
    }
}

#[test]
fn clients_beyond_the_connection_limit_are_turned_away_and_let_in_again() {
    let upstream = Upstream::saying("ok");
    let gateway = with_client_policy(&upstream, "  connection: {connectionLimit: {value: 2}}\n");
    let mut inside: Vec<_> = (0..2).map(|_| gateway.connect()).collect();
    for client in &mut inside {
        client.send(GET);
        assert_eq!(client.response().text(), "ok");
    }
    for _ in 0..5 {
        let mut outside = gateway.connect();
        outside.send(GET);
        let refused = outside.response();
        assert_eq!(refused.status(), 503);
        assert!(refused.connection_says("close") && refused.text().contains("Too many connections"));
        assert_eq!(outside.end(), End::Fin);
    }
    // One that says nothing is closed without a word.
    assert_eq!(gateway.connect().rest(), b"");
    assert_eq!(gateway.stat("downstream_cx_overflow"), 6);
    let said = gateway.said();
    let warnings = said
        .lines()
        .filter(|line| line.contains("connectionLimit.value"))
        .count();
    assert!((1..=2).contains(&warnings), "one a minute and worker: {said}");
    drop(inside.pop());
    eventually("room for another", || {
        let mut client = gateway.connect();
        client.try_send(GET);
        client.try_head().filter(|head| head.status() == 200)
    });
}

#[test]
fn slow_clients_hold_no_worker() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut client = gateway.connect();
            client.send("GET / HTTP/1.1\r\nHost");
            client
        })
        .collect();
    let since = Instant::now();
    assert_eq!(gateway.ask(GET).text(), "ok");
    assert!(
        since.elapsed() < Duration::from_millis(500),
        "{:?}",
        since.elapsed()
    );
    drop(slow);
}

/// Asks `count` times at once and gives the answers.
fn at_once(gateway: &Gateway, count: usize) -> Vec<Message> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..count).map(|_| scope.spawn(|| gateway.ask(GET))).collect();
        asked
            .into_iter()
            .map(|asking| asking.join().expect("an answer"))
            .collect()
    })
}

#[test]
fn requests_beyond_what_may_be_in_flight_are_refused_at_once() {
    let upstream = slow(Duration::from_millis(300));
    let spec = "  circuitBreaker: {maxParallelRequests: 2}\n";
    let gateway = Gateway::configured_with(
        &yaml::simple(free_port(), upstream.address, spec),
        &["--access-log", "json"],
    );
    let answers = at_once(&gateway, 6);
    let refused: Vec<&Message> = answers.iter().filter(|told| told.status() == 503).collect();
    assert_eq!(refused.len(), 4, "{answers:#?}");
    for told in refused {
        assert_eq!(told.field("x-envoy-overloaded"), Some("true"), "{told:?}");
        assert!(told.text().contains("reset reason: overflow"), "{told:?}");
        assert!(told.field("retry-after").is_some(), "{told:?}");
    }
    let lines = gateway.log_lines(6);
    assert_eq!(
        lines.iter().filter(|line| line.contains("\"UO\"")).count(),
        4,
        "{lines:#?}"
    );
}

#[test]
fn requests_wait_for_a_connection_and_are_served_when_one_is_free() {
    let upstream = slow(Duration::from_millis(50));
    let gateway = Gateway::configured(&yaml::simple(
        free_port(),
        upstream.address,
        "  circuitBreaker: {maxConnections: 2}\n",
    ));
    let answers = at_once(&gateway, 8);
    assert!(answers.iter().all(|told| told.status() == 200), "{answers:#?}");
    assert!(
        upstream.connections() <= 2,
        "{} connections, exact over all workers",
        upstream.connections()
    );
}

#[test]
fn a_full_queue_refuses_at_once() {
    let upstream = slow(Duration::from_millis(300));
    let spec = "  circuitBreaker: {maxConnections: 1, maxPendingRequests: 1}\n";
    let gateway = Gateway::configured(&yaml::simple(free_port(), upstream.address, spec));
    let since = Instant::now();
    let answers = at_once(&gateway, 5);
    let served = answers.iter().filter(|told| told.status() == 200).count();
    assert_eq!(served, 2, "one in flight and one waiting: {answers:#?}");
    assert!(since.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_waiting_request_gives_up_at_its_own_time_limit() {
    let upstream = slow(Duration::from_millis(1500));
    let spec = "  circuitBreaker: {maxConnections: 1}\n  timeout: {http: {requestTimeout: 300ms}}\n";
    let gateway = Gateway::configured(&yaml::simple(free_port(), upstream.address, spec));
    let since = Instant::now();
    let answers = at_once(&gateway, 3);
    assert!(answers.iter().all(|told| told.status() == 504), "{answers:#?}");
    assert!(
        since.elapsed() < Duration::from_millis(1200),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn a_waiting_client_that_leaves_frees_its_place() {
    let upstream = slow(Duration::from_millis(300));
    let spec = "  circuitBreaker: {maxConnections: 1, maxPendingRequests: 1}\n";
    let gateway = Gateway::configured(&yaml::simple(free_port(), upstream.address, spec));
    let mut first = gateway.connect();
    first.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    let mut waiting = gateway.connect();
    waiting.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    waiting.reset();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(
        gateway.ask(GET).status(),
        200,
        "the place in the queue was still taken"
    );
    assert_eq!(first.response().status(), 200);
}

#[test]
fn a_connection_is_retired_after_its_share_of_requests() {
    let upstream = Upstream::saying("ok");
    let spec = "  circuitBreaker: {maxRequestsPerConnection: 3}\n";
    let gateway = Gateway::configured(&yaml::simple(free_port(), upstream.address, spec));
    let mut client = gateway.connect();
    for _ in 0..9 {
        client.send(GET);
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn one_slow_upstream_does_not_slow_its_neighbour() {
    let (stuck, quick) = (slow(Duration::from_secs(4)), Upstream::saying("ok"));
    let rules = format!(
        "  - matches: [{{path: {{type: PathPrefix, value: /stuck}}}}]\n    backendRefs: [{}]\n{}",
        yaml::reference("stuck"),
        yaml::to("quick")
    );
    let text = format!(
        "{}{}{}{}",
        yaml::gateway(free_port()),
        yaml::route("r", &rules),
        yaml::backend("stuck", &[stuck.address]),
        yaml::backend("quick", &[quick.address])
    );
    let gateway = Gateway::configured(&text);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut client = gateway.connect();
            client.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    let since = Instant::now();
    assert!((0..20).all(|_| gateway.ask(GET).text() == "ok"));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    drop(waiting);
}
