//! A malformed response gives 502 (`UPE`), never a guess, and its connection is never used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::{End, Gateway, Peer, Upstream, eventually, reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_malformed_response_head_is_answered_with_502() {
    let long_field = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(300 * 1024));
    let cases: &[(&str, &str)] = &[
        ("no HTTP at all", "hello there, this is no HTTP\r\n\r\n"),
        ("no status", "HTTP/1.1 OK\r\n\r\n"),
        ("two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
        ("four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
        ("status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
        ("two spaces", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("version 2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            "two different CL",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        ),
        (
            "CL is no number",
            "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc",
        ),
        (
            "CL with a sign",
            "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        ),
        (
            "unknown coding",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked twice",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "TE in HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("no colon", "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n"),
        (
            "space in a name",
            "HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "NUL in a value",
            "HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "bare CR in a value",
            "HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n",
        ),
        ("a head without an end in sight", &long_field),
    ];
    for (what, bytes) in cases {
        // Its connections are not counted: evenkeel may ask on one of its own what the endpoint speaks.
        let (asked, bytes) = (Arc::new(AtomicUsize::new(0)), (*bytes).to_owned());
        let counted = Arc::clone(&asked);
        let upstream = Upstream::scripted(move |_, mut peer| {
            if peer.try_head().is_some_and(|head| head.method() == "GET") {
                counted.fetch_add(1, Ordering::SeqCst);
                peer.try_send(&bytes);
                peer.end();
            }
        });
        let gateway = Gateway::to(upstream.address, &["--access-log", "json"]);
        let response = gateway.ask(GET);
        assert_eq!(response.status(), 502, "{what}: {response:?}");
        assert!(
            response
                .text()
                .starts_with("upstream connect error or disconnect/reset before headers. "),
            "{what}: {response:?}"
        );
        assert!(
            response.text().contains("reset reason: protocol error"),
            "{what}: {response:?}"
        );
        assert_eq!(gateway.only_json_line()["envoy_response_flags"], "UPE", "{what}");
        assert_eq!(
            asked.load(Ordering::SeqCst),
            1,
            "{what}: a response that has begun is never asked for again"
        );
    }
}

#[test]
fn a_response_with_a_malformed_chunk_is_never_given_a_clean_end() {
    for chunks in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\na\r\n0\r\n\r\n",
    ] {
        let upstream = Upstream::replying(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ));
        let gateway = Gateway::before(&upstream);
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = client.rest();
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.starts_with("HTTP/1.1 502 ") || !text.ends_with("0\r\n\r\n"),
            "{chunks:?} was given a clean end: {text}"
        );
        assert_ne!(client.end(), End::Open);
    }
}

#[test]
fn surplus_bytes_are_dropped_and_their_connection_is_not_used_again() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while peer.request().is_some() {
            let text = format!("answer {number}");
            let smuggled = reply("smuggled");
            peer.try_send(format!("{}{smuggled}", reply(&text)));
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for number in 0..3 {
        client.send(GET);
        assert_eq!(client.response().text(), format!("answer {number}"));
    }
}

#[test]
fn bytes_that_come_while_a_connection_is_idle_are_no_answer_to_the_next_request() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while peer.request().is_some() {
            peer.try_send(reply(&format!("answer {number}")));
            std::thread::sleep(Duration::from_millis(30));
            peer.try_send(reply("smuggled"));
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for number in 0..3 {
        client.send(GET);
        assert_eq!(client.response().text(), format!("answer {number}"));
        std::thread::sleep(Duration::from_millis(60));
    }
}

#[test]
fn a_body_behind_a_response_that_has_none_poisons_the_connection() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n"),
    ] {
        let upstream = Upstream::scripted(move |number, mut peer| {
            while peer.request().is_some() {
                let answer = if number == 0 {
                    format!("{head}surplus!")
                } else {
                    reply("second")
                };
                peer.try_send(answer);
            }
        });
        let gateway = Gateway::before(&upstream);
        let mut client = gateway.connect();
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(client.response_to(method).body.is_empty());
        client.send(GET);
        assert_eq!(client.response().text(), "second", "{method} {head:?}");
    }
}

#[test]
fn an_unasked_101_is_refused() {
    let upstream = Upstream::replying(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.ask(GET).status(), 502);
}

#[test]
fn an_upgrade_to_what_nobody_asked_for_is_refused() {
    let upstream = Upstream::replying(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
    );
    let gateway = Gateway::before(&upstream);
    let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(gateway.ask(asked).status(), 502);
}

#[test]
fn a_response_cut_short_is_seen_to_be_cut() {
    let cases = [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ),
        (
            "chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        ),
        (
            "trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: u\r\n",
        ),
    ];
    for (what, bytes) in cases {
        let upstream = Upstream::scripted(move |_, mut peer| {
            peer.request();
            peer.send(bytes);
        });
        let gateway = Gateway::before(&upstream);
        let mut client = gateway.connect();
        client.send(GET);
        let response = client.response();
        assert_eq!(response.status(), 200, "{what}");
        assert!(
            !response.complete,
            "{what}: a cut response looked whole: {response:?}"
        );
        assert_ne!(client.end(), End::Open, "{what}");
    }
}

#[test]
fn a_close_delimited_response_that_is_reset_is_seen_to_be_cut() {
    let upstream = Upstream::scripted(|_, mut peer: Peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\nabc");
        std::thread::sleep(Duration::from_millis(50));
        peer.reset();
    });
    let gateway = Gateway::before(&upstream);
    let response = gateway.ask(GET);
    assert_eq!(response.text(), "abc");
    assert!(!response.complete, "{response:?}");
}

#[test]
fn an_upstream_connection_whose_request_was_cut_is_not_used_again() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while let Some(request) = peer.request() {
            if !request.complete {
                return;
            }
            peer.try_send(reply(&format!("connection {number}")));
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    eventually("the request to go upstream", || {
        (upstream.connections() == 1).then_some(())
    });
    drop(client);
    assert_eq!(gateway.ask(GET).text(), "connection 1");
}
