//! Our own process is stopped for a moment, as a debugger, a busy host or a suspended machine does it: nobody
//! else pays for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Gateway, Message, Upstream, eventually, free_port, reply, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A gateway before these endpoints, with this policy for them.
#[track_caller]
fn before(endpoints: &[std::net::SocketAddr], spec: &str) -> Gateway {
    let text = yaml::ruled(free_port(), &yaml::to("app"), endpoints) + &yaml::policy("app", spec);
    Gateway::configured(&text)
}

/// Stops the gateway for `span`.
fn freeze(gateway: &Gateway, span: Duration) {
    gateway.signal(Signal::SIGSTOP);
    thread::sleep(span);
    gateway.signal(Signal::SIGCONT);
}

/// Everything on that follows how quick endpoints are. Stops of up to a second are longer than each time limit.
const WATCHFUL: &str = "  adaptiveConcurrency: {minLimit: 2}\n  loadBalancer: {type: PeakEWMA}\n  queue: {maxWait: 400ms}\n  \
    timeout: {http: {requestTimeout: 900ms, perTryTimeout: 700ms}}\n  healthCheck:\n    passive: \
    {consecutive5XxErrors: 3, consecutiveGatewayErrors: 2, consecutiveLocalOriginFailures: 2, \
    splitExternalLocalOriginErrors: true}\n    active: {type: HTTP, http: {path: /}, timeout: 500ms, interval: 700ms, \
    unhealthyThreshold: 1}\n";

#[test]
fn a_stopped_process_refuses_nobody_and_ejects_nobody_when_it_goes_on() {
    let answer = |_: &Message| {
        thread::sleep(Duration::from_millis(10));
        reply("ok")
    };
    let endpoints: Vec<Upstream> = (0..4).map(|_| Upstream::answering(answer)).collect();
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let gateway = before(&addresses, WATCHFUL);
    let over = Arc::new(AtomicBool::new(false));
    let failed = thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let (gateway, over) = (&gateway, over.clone());
                scope.spawn(move || {
                    let mut client = gateway.connect();
                    let mut failed = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        client.send(GET);
                        let told = client.response();
                        if told.status() != 200 {
                            failed.push(told);
                        }
                    }
                    failed
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(1500));
        for millis in [300, 1000, 600, 1000, 300] {
            freeze(&gateway, Duration::from_millis(millis));
            thread::sleep(Duration::from_millis(700));
        }
        over.store(true, Ordering::Relaxed);
        let failed = clients.into_iter().map(|client| client.join().expect("a client"));
        failed.flatten().collect::<Vec<Message>>()
    });
    assert!(
        failed.is_empty(),
        "{} failed: {:#?}",
        failed.len(),
        failed.first()
    );
    for counter in [
        "upstream_rq_pending_overflow",
        "outlier_detection.ejections_enforced_total",
        "health_check.failure",
        "upstream_rq_timeout",
        "upstream_rq_per_try_timeout",
    ] {
        assert_eq!(gateway.stat(counter), 0, "{counter}");
    }
}

#[test]
fn who_waits_in_the_queue_when_the_process_is_stopped_is_served_when_it_goes_on() {
    let (answer_now, told) = mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::answering(move |request: &Message| {
        if request.target() == "/first" {
            told.lock()
                .expect("one at a time")
                .recv()
                .expect("the test's word");
        }
        reply("ok")
    });
    let spec = "  circuitBreaker: {maxConnections: 1}\n  queue: {maxWait: 1s}\n";
    let gateway = before(&[upstream.address], spec);
    let mut first = gateway.connect();
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the first request", || {
        (gateway.stat("upstream_rq_active") == 1).then_some(())
    });
    let mut second = gateway.connect();
    second.send(GET);
    eventually("the second request", || {
        (gateway.stat("upstream_rq_pending_active") == 1).then_some(())
    });
    gateway.signal(Signal::SIGSTOP);
    answer_now.send(()).expect("the endpoint listens");
    thread::sleep(Duration::from_millis(1500));
    gateway.signal(Signal::SIGCONT);
    assert_eq!(first.response().status(), 200);
    let told = second.response();
    assert_eq!(told.status(), 200, "{told:?}");
    assert_eq!(gateway.stat("upstream_rq_pending_overflow"), 0);
}
