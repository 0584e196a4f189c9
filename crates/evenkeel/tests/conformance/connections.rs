//! Connections: how long they last, in which order they answer, and what becomes of them when the
//! protocol is switched.

use std::time::Duration;

use crate::harness::{End, Gateway, Upstream, reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_connection_is_kept_on_both_sides() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..10 {
        client.send(GET);
        let told = client.response();
        assert_eq!(told.text(), "ok");
        assert!(!told.connection_says("close"));
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_client_that_asks_for_the_end_gets_it() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n");
    let told = client.response();
    assert!(told.connection_says("close"), "{told:?}");
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn an_upstream_that_says_close_ends_its_own_connection_only() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(
            peer.end(),
            End::Fin,
            "the gateway closes what the upstream gave up"
        );
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send(GET);
        let told = client.response();
        assert_eq!(told.text(), "ok");
        assert!(!told.connection_says("close"), "{told:?}");
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::answering(|request| {
        if request.target() == "/0" {
            std::thread::sleep(Duration::from_millis(50));
        }
        reply(request.target())
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    let requests: String = (0..10)
        .map(|number| match number % 3 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
            _ => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        })
        .collect();
    client.send(requests);
    for number in 0..10 {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
}

#[test]
fn requests_behind_one_that_asks_for_the_end_are_not_served() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    assert!(client.rest().is_empty());
    assert_eq!(upstream.only_request().target(), "/1");
}

#[test]
fn a_client_that_expects_100_is_told_to_go_on_once_and_then_answered() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let head = peer.try_head().expect("a head");
        if head.field("expect").is_some() {
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        assert_eq!(peer.take(3), b"abc");
        peer.send(reply("ok"));
        peer.end();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.try_head().expect("to be told").status(), 100);
    client.send("abc");
    let told = client.response();
    assert_eq!(
        (told.status(), told.text().as_str(), told.interim.len()),
        (200, "ok", 0),
        "100 comes once"
    );
}

#[test]
fn a_client_that_expects_100_and_does_not_wait_is_served_all_the_same() {
    let upstream = Upstream::answering(|request| reply(&request.text()));
    let gateway = Gateway::before(&upstream);
    let told =
        gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((told.status(), told.text().as_str()), (200, "abc"));
}

#[test]
fn an_upstream_that_refuses_the_body_is_heard_before_it_is_sent() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let head = peer.try_head().expect("a head");
        assert!(
            head.field("expect")
                .is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")),
            "{head:#?}"
        );
        peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        peer.end();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let told = client.response();
    assert_eq!((told.status(), told.interim.len()), (401, 0), "{told:#?}");
}

#[test]
fn another_expectation_is_refused() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    assert_eq!(
        gateway
            .ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n")
            .status(),
        417
    );
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn an_upgraded_connection_is_a_tunnel_both_ways() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let head = peer.try_head().expect("a head");
        assert!(head.connection_says("upgrade"), "{head:#?}");
        assert_eq!(head.field("upgrade"), Some("websocket"));
        assert_eq!(head.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
        peer.send(format!("{SWITCH}right behind"));
        assert_eq!(peer.take(5), b"hello");
        peer.send([0, 255, 13, 10, 13, 10]);
        assert_eq!(peer.take(3), b"bye");
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(UPGRADE);
    let told = client.response();
    assert_eq!(told.status(), 101);
    assert!(told.connection_says("upgrade"), "{told:#?}");
    assert_eq!(told.field("upgrade"), Some("websocket"));
    assert!(told.field("sec-websocket-accept").is_some());
    assert_eq!(client.take(12), b"right behind");
    client.send("hello");
    assert_eq!(client.take(6), [0, 255, 13, 10, 13, 10]);
    client.send("bye");
    assert_ne!(client.end(), End::Open, "the tunnel ends with its upstream");
}

#[test]
fn bytes_a_client_sends_before_the_101_reach_the_upstream_only_after_it() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.try_head();
        assert!(
            peer.is_quiet_for(Duration::from_millis(100)),
            "bytes crossed before the tunnel was agreed"
        );
        peer.send(SWITCH);
        assert_eq!(peer.take(5), b"early");
        peer.send("late");
        peer.end();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(format!("{UPGRADE}early"));
    assert_eq!(client.response().status(), 101);
    assert_eq!(client.take(4), b"late");
}

#[test]
fn a_refused_upgrade_leaves_two_http_connections() {
    let upstream = Upstream::answering(|request| match request.target() {
        "/chat" => "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_owned(),
        _ => reply("ok"),
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(UPGRADE);
    assert_eq!(client.response().status(), 403);
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn one_half_of_a_tunnel_may_end_before_the_other() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.try_head();
        peer.send(SWITCH);
        assert_eq!(peer.rest(), b"all I have");
        peer.send("and my answer");
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(UPGRADE);
    assert_eq!(client.response().status(), 101);
    client.send("all I have");
    client.half_close();
    assert_eq!(client.rest(), b"and my answer");
}

#[test]
fn a_tunnel_carries_megabytes() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.try_head();
        peer.send(SWITCH);
        let bytes = peer.take(3 * 1024 * 1024);
        peer.send(bytes);
        peer.end();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(UPGRADE);
    assert_eq!(client.response().status(), 101);
    let bytes: Vec<u8> = (0..3 * 1024 * 1024_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    client.send(&bytes);
    assert!(client.take(bytes.len()) == bytes, "the tunnel changed its bytes");
}
