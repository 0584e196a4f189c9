//! The access log's byte counts are exact, however an exchange ends.

use std::time::Duration;

use crate::harness::{End, Gateway, Peer, Upstream, free_port, yaml};

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
