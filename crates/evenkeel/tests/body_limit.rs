//! `maxRequestBodyBytes`: the owner's limit on what clients upload.

use std::time::Duration;

use crate::harness::{Gateway, Upstream, eventually, free_port, yaml};

/// A gateway that takes 1 KiB, and ejects on the first failure that anybody would be blamed for.
#[track_caller]
fn gateway(upstream: &Upstream) -> Gateway {
    let spec = "  maxRequestBodyBytes: 1Ki\n  healthCheck: {passive: {consecutive5XxErrors: 1, \
                consecutiveGatewayErrors: 1, consecutiveLocalOriginFailures: 1, splitExternalLocalOriginErrors: true, \
                maxEjectionPercent: 100}}\n";
    let text = yaml::simple(free_port(), upstream.address, spec);
    Gateway::configured_with(&text, &["--access-log", "json"])
}

#[test]
fn a_body_that_says_it_is_too_large_meets_no_endpoint() {
    let upstream = Upstream::saying("ok");
    let gateway = gateway(&upstream);
    for more in ["", "Expect: 100-continue\r\n"] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n{more}\r\n"
        ));
        let told = client.response();
        assert_eq!((told.status(), told.interim.len()), (413, 0), "{told:?}");
        assert!(told.connection_says("close"), "{told:?}");
    }
    assert_eq!(
        (upstream.connections(), gateway.stat("upstream_cx_total")),
        (0, 0)
    );
    // As large as it may be, it passes.
    let body = "x".repeat(1024);
    let told = gateway.ask(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n{body}"
    ));
    assert_eq!(told.status(), 200);
    assert_eq!(upstream.only_request().body.len(), 1024);
}

#[test]
fn a_chunked_body_is_counted_and_the_endpoint_is_not_blamed() {
    let upstream = Upstream::answering(|_| crate::harness::reply("ok"));
    let gateway = gateway(&upstream);
    for _ in 0..5 {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
        std::thread::sleep(Duration::from_millis(20));
        client.send(format!("19\r\n{}\r\n0\r\n\r\n", "x".repeat(25)));
        assert_eq!(client.response().status(), 413);
    }
    let count = |name: &str| gateway.stat(name);
    assert_eq!(count("outlier_detection.ejections_enforced_total"), 0);
    assert_eq!(count("upstream_rq_retry"), 0);
    let clusters = gateway.admin_get("/clusters").text();
    assert!(!clusters.contains("evenkeel_last_error"), "{clusters}");
    let whole = format!("400\r\n{}\r\n0\r\n\r\n", "x".repeat(1024));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(gateway.ask(format!("{head}{whole}")).status(), 200);
    eventually("nothing in flight", || {
        (count("upstream_rq_active") == 0).then_some(())
    });
}
