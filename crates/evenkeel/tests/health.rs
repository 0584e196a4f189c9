//! Active health checks: an endpoint that fails them gets no requests, and the log says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::harness::{End, Gateway, Message, Peer, Upstream, eventually, free_port, reply, yaml};

/// Everything on a port of its own to one Backend, `app`, with these endpoints and checks.
fn checked(port: u16, endpoints: &[std::net::SocketAddr], active: &str) -> String {
    let spec = format!("  healthCheck:\n    active: {active}\n");
    let spec = if active.is_empty() { "  queue: {}\n" } else { &spec };
    format!(
        "{}{}{}{}",
        yaml::gateway(port),
        yaml::route("all", &yaml::to("app")),
        yaml::backend("app", endpoints),
        yaml::policy("app", spec)
    )
}

const HTTP: &str = "{type: HTTP, interval: 50ms, initialJitter: 10ms, timeout: 1s, unhealthyThreshold: 2, http: {path: /health, \
     retriableStatuses: [503]}}";

/// An upstream that says its name, and on `/health` whether it is well.
fn named(name: &'static str, well: &Arc<AtomicBool>) -> Upstream {
    let well = well.clone();
    Upstream::answering(move |request: &Message| match request.target() == "/health" {
        true if well.load(Relaxed) => reply("well"),
        true => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
        false => reply(name),
    })
}

#[test]
fn an_endpoint_that_fails_its_checks_gets_no_requests_until_they_are_good_again() {
    let well = [Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true))];
    let [one, two] = [named("one", &well[0]), named("two", &well[1])];
    let gateway = Gateway::configured(&checked(free_port(), &[one.address, two.address], HTTP));
    let answered = |by: &str| (0..20).any(|_| gateway.get("a", "/").text() == by);
    assert!(answered("one") && answered("two"));

    well[1].store(false, Relaxed);
    eventually("the endpoint to be out", || {
        (gateway.stat("membership_healthy") == 1).then_some(())
    });
    assert!(!answered("two"), "no request goes to an endpoint that is out");
    let said = eventually("the log to say so", || {
        let said = gateway.said();
        said.lines()
            .find(|line| line.contains("is out of service"))
            .map(str::to_owned)
    });
    assert!(
        said.contains(&two.address.to_string())
            && said.contains("it answered 503, expected is 200; 1 of 2 endpoints are in service"),
        "{said}"
    );
    let clusters = gateway.admin_get("/clusters").text();
    let flags = format!("{}::health_flags::/failed_active_hc", two.address);
    assert!(clusters.contains(&flags), "{clusters}");
    assert!(gateway.stat("health_check.failure") >= 2);
    assert_eq!(gateway.stat("health_check.network_failure"), 0);

    well[1].store(true, Relaxed);
    eventually("the endpoint to be back", || {
        (gateway.stat("membership_healthy") == 2).then_some(())
    });
    assert!(answered("two"));
    assert!(
        gateway.said().contains("is in service again"),
        "{}",
        gateway.said()
    );
}

#[test]
fn an_endpoint_that_refuses_connections_is_out_by_checks_of_tcp() {
    let up = Upstream::saying("up");
    let down = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let tcp = "{type: TCP, interval: 50ms, initialJitter: 10ms, unhealthyThreshold: 2}";
    let gateway = Gateway::configured(&checked(free_port(), &[up.address, down], tcp));
    eventually("the endpoint to be out", || {
        (gateway.stat("membership_healthy") == 1).then_some(())
    });
    assert!(
        gateway.said().contains("it refused the connection"),
        "{}",
        gateway.said()
    );
    assert!(gateway.stat("health_check.network_failure") >= 2);
    assert_eq!(
        gateway.stat("upstream_cx_connect_fail"),
        0,
        "no request was spent on it"
    );
}

#[test]
fn a_check_is_made_on_a_connection_of_its_own_and_says_who_asks() {
    let upstream = Upstream::answering(|request| {
        assert_eq!(request.field("user-agent"), Some("evenkeel-health-check"));
        assert!(request.connection_says("close"), "{request:?}");
        reply("well")
    });
    let gateway = Gateway::configured(&checked(free_port(), &[upstream.address], HTTP));
    eventually("some checks", || {
        (gateway.stat("health_check.success") >= 3).then_some(())
    });
    assert!(upstream.connections() >= 3);
    assert_eq!(
        gateway.stat("upstream_cx_total"),
        0,
        "checks are not in the pool's books"
    );
    assert_eq!(gateway.stat("upstream_rq_total"), 0);
}

#[test]
fn checks_end_with_the_configuration_that_asked_for_them() {
    let (tell, ended) = std::sync::mpsc::channel();
    let silent = Upstream::scripted(move |_, mut peer: Peer| {
        let request = peer.request();
        if request.is_some_and(|request| request.target() == "/health") {
            // The gateway would wait for an answer for a minute.
            let _ = tell.send(peer.end());
        }
    });
    let port = free_port();
    let patient = HTTP.replace("timeout: 1s", "timeout: 60s");
    let gateway = Gateway::configured(&checked(port, &[silent.address], &patient));
    eventually("a check", || (silent.connections() > 0).then_some(()));
    let verdict = gateway.reconfigure(&checked(port, &[silent.address], ""));
    assert!(verdict.contains("configuration loaded"), "{verdict}");
    let end = ended
        .recv_timeout(Duration::from_secs(2))
        .expect("the check's connection to end");
    assert_ne!(end, End::Open);
    let connections = silent.connections();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(silent.connections(), connections, "and no other begins");
}
