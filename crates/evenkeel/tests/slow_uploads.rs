//! Whose fault a time limit is: what a slow client takes is charged to no endpoint.

use std::time::{Duration, Instant};

use crate::harness::{End, Gateway, Message, Peer, Upstream, eventually, free_port, reply, yaml};

/// Uploads that stop halfway, as many as eject any endpoint that they would count against.
const STALLED: usize = 24;

/// The limits of a wait for an endpoint, each far below what the clients here take: lines of a rule, and of
/// a BackendTrafficPolicy's spec.
const LIMITS: [(&str, &str); 7] = [
    ("    timeouts: {request: 300ms}\n", ""),
    ("    timeouts: {request: 400ms, backendRequest: 300ms}\n", ""),
    ("", "  timeout: {http: {requestTimeout: 300ms}}\n"),
    (
        "",
        "  timeout: {http: {requestTimeout: 400ms}}\n  retry: {numRetries: 2, perRetry: {timeout: 300ms}, \
         retryOn: {triggers: [5xx, reset, retriable-status-codes], httpStatusCodes: [408]}}\n",
    ),
    (
        "",
        "  timeout: {http: {autoTimeout: {least: 200ms, most: 300ms}}}\n",
    ),
    ("", "  timeout: {http: {streamIdleTimeout: 300ms}}\n"),
    ("", "  timeout: {tcp: {connectTimeout: 300ms}}\n"),
];

/// Every way in which a cluster learns from its endpoints.
const LEARNS: &str = "  adaptiveConcurrency: {minLimit: 64}\n  hedge: {}\n  healthCheck: {passive: {consecutive5XxErrors: 2, \
                      consecutiveGatewayErrors: 2, consecutiveLocalOriginFailures: 2, \
                      splitExternalLocalOriginErrors: true, interval: 1s, baseEjectionTime: 60s, \
                      maxEjectionPercent: 100}}\n";

#[track_caller]
fn gateway(endpoints: &[&Upstream], rule: &str, spec: &str) -> Gateway {
    let endpoints: Vec<_> = endpoints.iter().map(|upstream| upstream.address).collect();
    let text = format!(
        "{}{}{}{}",
        yaml::gateway(free_port()),
        yaml::route("all", &format!("{}{rule}", yaml::to("app"))),
        yaml::backend("app", &endpoints),
        yaml::policy("app", &format!("{LEARNS}{spec}")),
    );
    Gateway::configured_with(&text, &["--access-log", "json"])
}

/// A request of which half the body has come; every other one is chunked.
fn half(gateway: &Gateway, number: usize) -> Peer {
    let mut client = gateway.connect();
    client.send(match number % 2 {
        0 => "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf",
        _ => "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    });
    client
}

/// Nothing is held against the endpoints, and both are in service.
#[track_caller]
fn nothing_was_counted(gateway: &Gateway, limits: &str) {
    let stats = gateway.admin_get("/stats").text();
    let counted = |name: &str| {
        let line = stats.lines().find(|line| line.contains(&format!(".{name}: ")));
        line.map_or(0, |line| {
            line.rsplit(' ').next().unwrap_or_default().parse().unwrap_or(99)
        })
    };
    for name in [
        "ejections_enforced_total",
        "ejections_total",
        "upstream_rq_timeout",
        "upstream_rq_per_try_timeout",
        "upstream_rq_retry",
        "upstream_rq_retry_limit_exceeded",
        "upstream_rq_rx_reset",
    ] {
        assert_eq!(counted(name), 0, "{name} under {limits:?}:\n{stats}");
    }
    let clusters = gateway.admin_get("/clusters").text();
    for line in clusters
        .lines()
        .filter(|line| line.contains("::rq_error::") || line.contains("::rq_timeout::"))
    {
        assert!(line.ends_with("::0"), "{limits:?}: {line}");
    }
    for line in gateway.log_lines(0) {
        let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let flags = told["envoy_response_flags"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let theirs = flags
            .split(',')
            .find(|flag| !["", "-", "SI", "DC", "DPE"].contains(flag));
        assert_eq!(theirs, None, "{limits:?}: {line}");
    }
}

#[test]
fn stalled_uploads_are_no_endpoints_fault_under_any_limit() {
    std::thread::scope(|scope| {
        for (rule, spec) in LIMITS {
            scope.spawn(move || stall_under(rule, spec));
        }
    });
}

fn stall_under(rule: &str, spec: &str) {
    let endpoints = [Upstream::saying("ok"), Upstream::saying("ok")];
    let gateway = gateway(&[&endpoints[0], &endpoints[1]], rule, spec);
    let mut clients: Vec<Peer> = (0..STALLED).map(|number| half(&gateway, number)).collect();
    std::thread::sleep(Duration::from_millis(900));
    let ended = clients
        .iter_mut()
        .filter_map(|client| {
            (client.end_within(Duration::from_millis(20)) != End::Open).then(|| client.response())
        })
        .inspect(|told| assert_eq!(told.status(), 408, "{rule}{spec}: {told:?}"))
        .count();
    // The limit on silence is one on clients' silence, too.
    let silence = spec.contains("streamIdle");
    assert_eq!(ended, if silence { STALLED } else { 0 }, "{rule}{spec}");
    nothing_was_counted(&gateway, &format!("{rule}{spec}"));
    if !silence {
        // Who goes on after all is served.
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(if number % 2 == 0 { "half" } else { "0\r\n\r\n" });
            assert_eq!(client.response().status(), 200, "{rule}{spec}");
        }
        nothing_was_counted(&gateway, &format!("{rule}{spec}"));
    }
}

#[test]
fn a_steady_slow_upload_succeeds_under_any_limit() {
    std::thread::scope(|scope| {
        for (rule, spec) in LIMITS {
            scope.spawn(move || trickle_under(rule, spec));
        }
    });
}

fn trickle_under(rule: &str, spec: &str) {
    let endpoints = [Upstream::saying("ok"), Upstream::saying("ok")];
    let gateway = gateway(&[&endpoints[0], &endpoints[1]], rule, spec);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(80));
        client.send("x");
    }
    assert_eq!(client.response().text(), "ok", "{rule}{spec}");
    nothing_was_counted(&gateway, &format!("{rule}{spec}"));
}

#[test]
fn an_endpoint_has_its_whole_time_once_a_slow_upload_has_come() {
    let slow = Upstream::answering(|_: &Message| {
        std::thread::sleep(Duration::from_secs(3));
        reply("late")
    });
    let gateway = gateway(&[&slow], "    timeouts: {request: 700ms}\n", "");
    let mut client = half(&gateway, 0);
    std::thread::sleep(Duration::from_millis(1000));
    let since = Instant::now();
    client.send("half");
    let told = client.response();
    assert_eq!(told.status(), 504, "{told:?}");
    let took = since.elapsed();
    assert!(
        took > Duration::from_millis(680) && took < Duration::from_millis(2500),
        "{took:?}"
    );
    assert_eq!(
        gateway.stat("upstream_rq_timeout"),
        1,
        "this one is the endpoint's"
    );
}

#[test]
fn an_endpoint_that_takes_no_byte_of_an_upload_is_late() {
    let deaf = Upstream::scripted(|_, peer| {
        std::thread::sleep(Duration::from_secs(4));
        drop(peer);
    });
    let gateway = gateway(&[&deaf], "    timeouts: {request: 700ms}\n", "");
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let body = vec![b'x'; 1 << 20];
    // Until buffers are full along the way; the answer ends it.
    let sending = std::thread::scope(|scope| {
        let mut writer = client.writer();
        let sending = scope.spawn(move || (0..100).take_while(|_| writer.try_send(&body)).count());
        let told = client.response();
        assert_eq!(told.status(), 504, "{told:?}");
        drop(client);
        sending.join().expect("no panic")
    });
    assert!(sending < 100, "all of it was taken");
}

#[test]
fn an_endpoint_that_grows_tired_of_a_stalled_client_is_not_ejected() {
    let tired = || {
        Upstream::scripted(|_, mut peer| {
            while let Some(head) = peer.try_head() {
                match head.method() {
                    "GET" => assert!(peer.try_send(reply("ok"))),
                    _ => {
                        peer.end_within(Duration::from_millis(1300));
                        return;
                    }
                }
            }
        })
    };
    let endpoints = [tired(), tired()];
    let gateway = gateway(&[&endpoints[0], &endpoints[1]], "", "");
    let mut clients: Vec<Peer> = (0..STALLED).map(|number| half(&gateway, number)).collect();
    for client in &mut clients {
        let told = client.response();
        assert!((400..600).contains(&told.status()), "{told:?}");
    }
    let stats = gateway.admin_get("/stats").text();
    let ejected: Vec<_> = stats
        .lines()
        .filter(|line| line.contains("ejections_enforced_total"))
        .collect();
    assert!(ejected.iter().all(|line| line.ends_with(": 0")), "{ejected:?}");
    assert!(!gateway.log_lines(STALLED).iter().any(|line| line.contains("URX")));
    assert_eq!(gateway.get("a", "/").text(), "ok");
}

#[test]
fn a_client_that_waits_for_100_continue_is_waited_for_by_nobody() {
    let silent = Upstream::scripted(|_, mut peer| {
        peer.try_head();
        peer.end();
    });
    let gateway = gateway(&[&silent], "    timeouts: {request: 400ms}\n", "");
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.response().status(), 504, "the endpoint was to speak first");

    let asking = Upstream::scripted(|_, mut peer| {
        peer.try_head();
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(peer.take(4), b"body");
        peer.send(reply("ok"));
        peer.end();
    });
    let gateway = self::gateway(&[&asking], "    timeouts: {request: 400ms}\n", "");
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.try_head().map(|head| head.status()), Some(100));
    std::thread::sleep(Duration::from_millis(900));
    client.send("body");
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn an_answer_that_is_awaited_in_silence_takes_the_idle_timeout_and_no_longer() {
    let slow = Upstream::answering(|_: &Message| {
        std::thread::sleep(Duration::from_secs(4));
        reply("late")
    });
    std::thread::scope(|scope| {
        for (text, span) in [("300ms", 300), ("1s", 1000), ("2s", 2000)] {
            let gateway = gateway(
                &[&slow],
                "",
                &format!("  timeout: {{http: {{streamIdleTimeout: {text}}}}}\n"),
            );
            scope.spawn(move || {
                for request in [
                    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
                ] {
                    let since = Instant::now();
                    assert_eq!(gateway.ask(request).status(), 504);
                    let took = u64::try_from(since.elapsed().as_millis()).expect("seconds");
                    // A tenth, and what a busy machine adds.
                    assert!(took >= span && took < span + span / 10 + 150, "{text}: {took} ms");
                }
            });
        }
    });
}

#[test]
fn a_client_that_stalls_is_told_so_after_its_own_limit() {
    let upstream = Upstream::saying("ok");
    let gateway = gateway(
        &[&upstream],
        "",
        "  timeout: {http: {streamIdleTimeout: 400ms}}\n",
    );
    let since = Instant::now();
    let mut client = half(&gateway, 0);
    let told = client.response();
    assert_eq!(told.status(), 408, "{told:?}");
    assert!(
        since.elapsed() >= Duration::from_millis(380),
        "{:?}",
        since.elapsed()
    );
    eventually("the connection to be closed", || {
        (client.end() != End::Open).then_some(())
    });
}
