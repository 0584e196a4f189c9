//! The end: SIGTERM drains, a second one ends at once.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{End, Gateway, Peer, Upstream, eventually, reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn slow(millis: u64) -> Upstream {
    Upstream::answering(move |_| {
        std::thread::sleep(Duration::from_millis(millis));
        reply("ok")
    })
}

#[test]
fn requests_in_flight_are_finished_and_told_of_the_end() {
    let upstream = slow(400);
    let mut gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    gateway.signal(Signal::SIGTERM);
    let told = client.response();
    assert_eq!((told.status(), told.text().as_str()), (200, "ok"));
    assert!(told.connection_says("close"), "{told:?}");
    assert_eq!(client.end(), End::Fin);
    assert_eq!(gateway.exit().code(), Some(0));
}

#[test]
fn new_connections_are_refused_while_draining() {
    let upstream = slow(600);
    let mut gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    gateway.signal(Signal::SIGTERM);
    // Refused, or not even answered: a client then tries elsewhere, or again later.
    let at_once = Duration::from_millis(50);
    eventually("the listener to close", || {
        std::net::TcpStream::connect_timeout(&gateway.address, at_once)
            .is_err()
            .then_some(())
    });
    assert!(gateway.runs(), "the request in flight must be waited for");
    assert_eq!(client.response().status(), 200);
    assert_eq!(gateway.exit().code(), Some(0));
}

#[test]
fn a_gateway_without_clients_ends_at_once() {
    let upstream = Upstream::saying("ok");
    let mut gateway = Gateway::before(&upstream);
    assert_eq!(gateway.ask(GET).text(), "ok");
    let since = Instant::now();
    gateway.signal(Signal::SIGINT);
    assert_eq!(gateway.exit().code(), Some(0));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[test]
fn a_client_that_connected_and_said_nothing_yet_is_served() {
    let upstream = Upstream::saying("ok");
    let mut gateway = Gateway::before(&upstream);
    for silence in [700, 1500] {
        let mut client = gateway.connect();
        gateway.signal(Signal::SIGTERM);
        std::thread::sleep(Duration::from_millis(silence));
        client.send(GET);
        let told = client.response();
        assert_eq!((told.status(), told.text().as_str()), (200, "ok"));
        assert!(told.connection_says("close"), "{told:?}");
        assert_eq!(gateway.exit().code(), Some(0));
        gateway = Gateway::before(&upstream);
    }
}

#[test]
fn an_idle_client_may_ask_once_more_and_is_told_of_the_end() {
    let upstream = Upstream::saying("ok");
    let mut gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
    gateway.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(200));
    client.send(GET);
    let told = client.response();
    assert_eq!(told.text(), "ok", "a request that was on its way met a close");
    assert!(told.connection_says("close"), "{told:?}");
    drop(client);
    assert_eq!(gateway.exit().code(), Some(0));
}

#[test]
fn a_client_that_stays_idle_sees_a_fin_within_seconds() {
    let upstream = Upstream::saying("ok");
    let mut gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
    gateway.signal(Signal::SIGTERM);
    assert_eq!(client.end_within(Duration::from_secs(8)), End::Fin);
    drop(client);
    assert_eq!(gateway.exit().code(), Some(0));
}

#[test]
fn a_drain_is_bounded() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        std::thread::sleep(Duration::from_secs(20));
    });
    let mut gateway = Gateway::to(upstream.address, &["--drain-timeout", "300ms"]);
    let mut client = gateway.connect();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    let since = Instant::now();
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.exit().code(), Some(0));
    let took = since.elapsed();
    assert!(
        took > Duration::from_millis(250) && took < Duration::from_secs(2),
        "{took:?}"
    );
}

#[test]
fn a_second_signal_ends_at_once_and_the_exit_code_names_it() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let upstream = Upstream::scripted(|_, mut peer| {
            peer.request();
            std::thread::sleep(Duration::from_secs(20));
        });
        let mut gateway = Gateway::before(&upstream);
        let mut client = gateway.connect();
        client.send(GET);
        std::thread::sleep(Duration::from_millis(50));
        gateway.signal(signal);
        std::thread::sleep(Duration::from_millis(150));
        assert!(gateway.runs(), "{signal}: the first one drains");
        let since = Instant::now();
        gateway.signal(signal);
        let exit = gateway.exit();
        assert_eq!(exit.code(), Some(code), "{signal}: {:?}", exit.signal());
        assert!(
            since.elapsed() < Duration::from_millis(500),
            "{signal}: {:?}",
            since.elapsed()
        );
    }
}

#[test]
fn the_admin_says_not_ready_while_draining() {
    let upstream = slow(600);
    let mut gateway = Gateway::before(&upstream);
    assert_eq!(gateway.admin_get("/ready").status(), 200);
    let mut client = gateway.connect();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    gateway.signal(Signal::SIGTERM);
    eventually("not ready", || {
        let mut admin = Peer::connect(gateway.admin);
        admin.send("GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        (admin.try_head()?.status() == 503).then_some(())
    });
    assert_eq!(client.response().status(), 200);
    gateway.exit();
}

#[test]
fn every_request_of_a_drain_is_in_the_log() {
    let upstream = slow(200);
    let mut gateway = Gateway::to(upstream.address, &["--access-log", "json"]);
    let mut clients: Vec<Peer> = (0..10).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    std::thread::sleep(Duration::from_millis(50));
    gateway.signal(Signal::SIGTERM);
    clients
        .iter_mut()
        .for_each(|client| assert_eq!(client.response().status(), 200));
    gateway.exit();
    assert_eq!(gateway.log_lines(10).len(), 10);
}
