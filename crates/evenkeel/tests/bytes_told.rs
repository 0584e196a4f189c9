//! The access log's byte counts are exact, however an exchange ends.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{End, Gateway, Peer, Upstream, eventually, free_port, yaml};

/// More than sockets and pipes hold, so that a client that stops reading has not had it all.
const LARGE: usize = 64 << 20;

#[track_caller]
fn gateway(upstream: &Upstream, spec: &str) -> Gateway {
    let text = yaml::simple(free_port(), upstream.address, spec);
    Gateway::configured_with(&text, &["--access-log", "json"])
}

/// Received and sent, as the only line has them.
#[track_caller]
fn told(gateway: &Gateway) -> (u64, u64) {
    let line = gateway.only_json_line();
    let count = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("no {name}: {line}"));
    (count("bytes_received"), count("bytes_sent"))
}

/// An upstream that announces a body with `head`, sends `pieces` pieces of it, and closes.
fn cut_after(head: &'static str, piece: Vec<u8>, pieces: usize) -> Upstream {
    Upstream::scripted(move |_, mut peer| {
        if peer.request().is_some() {
            peer.send(head);
            (0..pieces).all(|_| peer.try_send(&piece));
        }
    })
}

#[test]
fn a_response_that_its_endpoint_cuts_is_told_to_the_byte() {
    for (length, piece) in [(LARGE, 100_000), (100_000, 10_000), (1_000_000, 333)] {
        let head: &'static str = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").leak();
        let upstream = cut_after(head, vec![b'x'; piece], 9);
        let gateway = gateway(&upstream, "");
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.try_head().expect("a head");
        let body = client.rest().len();
        assert_eq!(body, 9 * piece, "all that came is passed on");
        assert_eq!(told(&gateway), (0, body as u64), "{length}");
    }
}

#[test]
fn a_chunked_response_that_is_cut_is_told_to_the_byte() {
    let chunk = [b"3e8\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
    let upstream = cut_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, 60);
    let gateway = gateway(&upstream, "");
    let told_body = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!told_body.complete);
    assert_eq!(told(&gateway), (0, told_body.body.len() as u64));
    assert_eq!(told_body.body.len(), 60_000);
}

#[test]
fn a_response_that_its_client_stops_reading_is_told_to_the_byte() {
    let head: &'static str = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").leak();
    let upstream = Upstream::scripted(move |_, mut peer| {
        if peer.request().is_some() {
            peer.send(head);
            let piece = vec![b'x'; 1 << 20];
            (0..LARGE >> 20).all(|_| peer.try_send(&piece));
            peer.end();
        }
    });
    let gateway = gateway(&upstream, "  timeout: {http: {streamIdleTimeout: 500ms}}\n");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.try_head().expect("a head");
    gateway.log_lines(1);
    // It takes what is on its way all the same: so much was sent.
    let body = client.rest().len() as u64;
    assert!(body > 100_000 && body < LARGE as u64, "{body}");
    assert_eq!(told(&gateway), (0, body));
}

/// An upstream that upgrades and then does as it is told with the tunnel.
fn tunnel(then: impl Fn(Peer) + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |_, mut peer| {
        if peer.try_head().is_some() {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            then(peer);
        }
    })
}

/// A client whose connection is a tunnel.
#[track_caller]
fn upgraded(gateway: &Gateway) -> Peer {
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.try_head().expect("a head").status(), 101);
    client
}

#[test]
fn a_tunnels_bytes_are_told_both_ways_however_it_ends() {
    type Does = fn(Peer);
    let ends: [(&str, Does, Does); 4] = [
        ("the endpoint closes", drop, |mut client| {
            assert_eq!(client.end(), End::Fin)
        }),
        ("the endpoint resets", Peer::reset, |mut client| {
            assert_ne!(client.end(), End::Open)
        }),
        (
            "the client closes",
            |mut peer| assert_ne!(peer.end(), End::Open),
            drop,
        ),
        (
            "the client resets",
            |mut peer| assert_ne!(peer.end(), End::Open),
            Peer::reset,
        ),
    ];
    for (what, endpoint, client_ends) in ends {
        let upstream = tunnel(move |mut peer| {
            assert_eq!(peer.take(7), b"hello u");
            peer.send(vec![b'd'; 5000]);
            assert_eq!(peer.take(1), b"!");
            endpoint(peer);
        });
        let gateway = gateway(&upstream, "");
        let mut client = upgraded(&gateway);
        client.send("hello u");
        assert_eq!(client.take(5000).len(), 5000);
        client.send("!");
        std::thread::sleep(Duration::from_millis(50));
        client_ends(client);
        assert_eq!(told(&gateway), (8, 5000), "{what}");
    }
}

#[test]
fn a_tunnel_that_falls_silent_tells_its_bytes() {
    let upstream = tunnel(|mut peer| {
        peer.send("down");
        peer.end();
    });
    let gateway = gateway(&upstream, "  timeout: {http: {streamIdleTimeout: 300ms}}\n");
    let mut client = upgraded(&gateway);
    client.send("up");
    assert_eq!(client.take(4), b"down");
    assert_ne!(client.end(), End::Open);
    assert_eq!(told(&gateway), (2, 4));
}

#[test]
fn an_upgrade_comes_behind_the_whole_request() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let head = peer.try_head().expect("a head");
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        assert_eq!(peer.take(10), b"5\r\nfirst\r\n");
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello");
        assert_eq!(peer.take(16), b"6\r\nsecond\r\n0\r\n\r\n", "the body, as chunks");
        assert_eq!(peer.take(3), b"raw", "then the tunnel");
        peer.send("bye");
        peer.end();
    });
    let gateway = gateway(&upstream, "");
    let mut client = gateway.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nfirst\r\n",
    );
    std::thread::sleep(Duration::from_millis(150));
    client.send("6\r\nsecond\r\n");
    std::thread::sleep(Duration::from_millis(50));
    client.send("0\r\n\r\nraw");
    assert_eq!(client.try_head().expect("a head").status(), 101);
    assert_eq!(client.take(8), b"hellobye");
}

/// What bodies are made of here: no head and no framing has it.
const DATA: u8 = b'~';

/// Bytes of bodies in what a client received, heads and framing left out.
fn data(received: &[u8]) -> u64 {
    received.iter().filter(|&&byte| byte == DATA).count() as u64
}

/// Answers a request with small chunks that never end: more than sockets hold.
fn endless_chunks(mut peer: Peer) {
    if peer.request().is_some() {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunks = [b"3e8\r\n".as_slice(), &[DATA; 1000], b"\r\n"]
            .concat()
            .repeat(50);
        while peer.try_send(&chunks) {}
    }
}

#[test]
fn a_chunked_response_that_its_client_stops_reading_is_told_to_the_byte() {
    let upstream = Upstream::scripted(|_, peer| endless_chunks(peer));
    let gateway = gateway(&upstream, "  timeout: {http: {streamIdleTimeout: 500ms}}\n");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.try_head().expect("a head");
    gateway.log_lines(1);
    let sent = data(&client.rest());
    assert!(sent > 100_000, "{sent}");
    assert_eq!(told(&gateway), (0, sent));
}

#[test]
fn a_relay_that_a_drain_cuts_off_is_told_to_the_byte() {
    for chunked in [true, false] {
        let upstream = Upstream::scripted(move |_, mut peer| {
            if chunked {
                endless_chunks(peer);
            } else if peer.request().is_some() {
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                while peer.try_send(vec![DATA; 100_000]) {}
            }
        });
        let text = yaml::simple(free_port(), upstream.address, "");
        let arguments = ["--access-log", "json", "--drain-timeout", "300ms"];
        let mut gateway = Gateway::configured_with(&text, &arguments);
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.try_head().expect("a head");
        std::thread::sleep(Duration::from_millis(300));
        gateway.signal(Signal::SIGTERM);
        gateway.exit();
        let sent = data(&client.rest());
        assert!(sent > 100_000, "{sent}");
        assert_eq!(told(&gateway), (0, sent), "chunked: {chunked}");
    }
}

/// Responses that are here whole, for a client that asks for many and reads none: what the last one's line says is
/// what is missing of all that it finds when it reads at last.
#[test]
fn a_response_whose_last_write_fails_is_told_to_the_byte() {
    const REQUESTS: usize = 700;
    let body = [DATA; 30_000].as_slice();
    let chunks: Vec<u8> = body
        .chunks(700)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .collect();
    let plain = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n".as_slice(),
        body,
    ]
    .concat();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
    let chunked = [head, &chunks, b"0\r\n\r\n"].concat();
    for answer in [plain, chunked] {
        let answer = String::from_utf8(answer).expect("text");
        let upstream = Upstream::answering(move |_| answer.clone());
        let policy = "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: clients}\nspec:\n  \
                      targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n  \
                      timeout: {http: {streamIdleTimeout: 500ms}}\n---\n";
        let text = format!("{}{policy}", yaml::simple(free_port(), upstream.address, ""));
        let gateway = Gateway::configured_with(&text, &["--access-log", "json"]);
        let mut client = gateway.connect();
        // In one piece, so that all of it is read, and nothing resets the connection when it is closed.
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS));
        let last = |line: &serde_json::Value| line["envoy_response_flags"] != "-";
        let mut lines = Vec::new();
        eventually("the client to be given up", || {
            lines = gateway
                .log_lines(0)
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            lines.iter().any(last).then_some(())
        });
        let received = data(&client.rest());
        let sent: u64 = lines.iter().filter_map(|line| line["bytes_sent"].as_u64()).sum();
        assert_eq!(sent, received, "{:#?}", lines.last());
        assert!(
            !received.is_multiple_of(30_000),
            "the last one was cut: {received}"
        );
    }
}
