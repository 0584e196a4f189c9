//! What clients cost in memory while they keep the gateway waiting.

use std::time::Duration;

use crate::harness::{Gateway, Peer, Upstream, eventually, free_port, yaml};

/// Clients at a time; what one costs is the growth divided by this.
const CLIENTS: usize = 200;

/// Bytes of each upload that have come: more than the replay copy holds.
const CAME: usize = 200_000;

/// The process's growth for each client that `hold` opens.
#[track_caller]
fn cost(gateway: &Gateway, hold: impl Fn() -> Peer) -> usize {
    // What the first few need for all that follow is not counted.
    let first: Vec<Peer> = (0..20).map(|_| hold()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let before = gateway.resident_bytes();
    let clients: Vec<Peer> = (0..CLIENTS).map(|_| hold()).collect();
    std::thread::sleep(Duration::from_millis(500));
    let after = gateway.resident_bytes();
    drop((first, clients));
    after.saturating_sub(before) / CLIENTS
}

fn upload(gateway: &Gateway, head: &str, piece: &[u8]) -> Peer {
    let mut client = gateway.connect();
    client.send(head);
    let mut sent = 0;
    while sent < CAME {
        client.send(piece);
        sent += piece.len();
    }
    client
}

#[test]
fn an_upload_in_flight_costs_20_kib_at_most() {
    let reading = Upstream::scripted(|_, mut peer| drop(peer.rest()));
    let stuck = Upstream::scripted(|_, mut peer| {
        peer.take(100_000);
        std::thread::sleep(Duration::from_secs(60));
    });
    let length = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        CAME + 1
    );
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let plain = vec![b'x'; 10_000];
    let chunk = [b"3e8\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
    for (what, upstream, head, piece) in [
        ("a slow client", &reading, length.as_str(), &plain),
        ("a slow client that sends chunks", &reading, chunked, &chunk),
        ("a slow endpoint", &stuck, length.as_str(), &plain),
        ("a slow endpoint, chunks", &stuck, chunked, &chunk),
    ] {
        let spec = "  circuitBreaker: {maxConnections: 1000, maxParallelRequests: 1000}\n";
        let gateway = Gateway::configured_with(
            &yaml::simple(free_port(), upstream.address, spec),
            &["--access-log", "off"],
        );
        let cost = cost(&gateway, || upload(&gateway, head, piece));
        println!("{what}: {cost} bytes");
        assert!(cost <= 20 * 1024, "{what}: {cost} bytes");
    }
}

/// Bodies that go through in pieces of every kind come out as they went in.
#[test]
fn a_large_upload_arrives_as_it_was_sent() {
    let upstream = Upstream::answering(|request| {
        let sum = request.body.iter().fold(0_u64, |sum, &byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        crate::harness::reply(&format!("{} {sum}", request.body.len()))
    });
    let gateway = Gateway::before(&upstream);
    let body: Vec<u8> = (0..1_500_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let sum = body.iter().fold(0_u64, |sum, &byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let told = format!("{} {sum}", body.len());
    let mut client = gateway.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    assert_eq!(client.response().text(), told);
    for sizes in [
        [1, 2, 3],
        [1000, 10, 3000],
        [40_000, 1, 100_000],
        [2047, 2048, 2049],
    ] {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut rest = &body[..if sizes[0] == 1 { 300_000 } else { body.len() }];
        let sum = rest.iter().fold(0_u64, |sum, &byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let told = format!("{} {sum}", rest.len());
        let mut encoded = Vec::new();
        for size in sizes.into_iter().cycle() {
            let (chunk, left) = rest.split_at(size.min(rest.len()));
            rest = left;
            encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            encoded.extend_from_slice(chunk);
            encoded.extend_from_slice(b"\r\n");
            if rest.is_empty() {
                break;
            }
        }
        encoded.extend_from_slice(b"0\r\n\r\n");
        client.send(&encoded);
        assert_eq!(client.response().text(), told, "{sizes:?}");
    }
}
