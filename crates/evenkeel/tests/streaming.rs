//! Chunked responses on their way: each piece leaves when it comes, and what arrives is what was sent.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Peer, Upstream};

const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Bytes that differ from place to place, and are no framing.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + ((at * at / 7) % 26) as u8).collect()
}

/// A stream of events: the next is sent only once the client has the one before, so that one which is held back for
/// company is never seen.
#[test]
fn each_piece_of_a_stream_leaves_when_it_comes() {
    // As others send it, with an extension, with leading zeros, in pieces that no line ends at.
    let pieces: [&str; 9] = [
        "6\r\ndata:0\r\n",
        "6;a=b\r\ndata:1\r\n",
        "0006\r\ndata:2\r\n",
        "6\r\ndat",
        "a:3\r\n6",
        "\r\ndata:4",
        "\r",
        "\n6\r\nda",
        "ta:5\r\n",
    ];
    let shown = [
        "data:0", "data:1", "data:2", "dat", "a:3", "data:4", "", "da", "ta:5",
    ];
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::scripted(move |_, mut peer| {
        if peer.request().is_none() {
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        let gone = gone.lock().expect("one at a time");
        for piece in pieces.iter().cycle().take(10 * pieces.len()) {
            if gone.recv().is_err() {
                return;
            }
            peer.send(piece);
        }
        let _ = gone.recv();
        peer.send("0\r\n\r\n");
        peer.end();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(ASK);
    // The head leaves before there is a body.
    assert_eq!(client.try_head().expect("a head").status(), 200);
    let mut data = Unframed::default();
    let mut times = Vec::new();
    for expected in shown.iter().cycle().take(10 * shown.len()) {
        let since = Instant::now();
        go.send(()).expect("the upstream waits");
        let before = data.data.len();
        while data.data.len() < before + expected.len() {
            data.take(&mut client);
        }
        assert_eq!(&data.data[before..], expected.as_bytes());
        times.push(since.elapsed());
    }
    go.send(()).expect("the upstream waits");
    while !data.ended {
        data.take(&mut client);
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    assert!(
        median < Duration::from_millis(30),
        "{median:?}: the engine waits for nothing"
    );
}

/// Reads chunks byte by byte: what has come of a chunk is seen before its end has.
#[derive(Default)]
struct Unframed {
    data: Vec<u8>,
    line: Vec<u8>,
    left: usize,
    ended: bool,
}

impl Unframed {
    #[track_caller]
    fn take(&mut self, client: &mut Peer) {
        let byte = *client.take(1).first().expect("a byte while it is waited for");
        if self.left > 0 {
            self.data.push(byte);
            self.left -= 1;
            return;
        }
        self.line.push(byte);
        if !self.line.ends_with(b"\r\n") || self.line == b"\r\n" && !self.ended {
            // Behind a chunk's data its line end comes first.
            if self.line == b"\r\n" {
                self.line.clear();
            }
            return;
        }
        let line = std::str::from_utf8(&self.line[..self.line.len() - 2]).expect("digits");
        self.left = usize::from_str_radix(line, 16).expect("a size alone");
        self.ended = self.left == 0;
        self.line.clear();
    }
}

/// All kinds of chunks, in writes of all sizes, to clients that read fast and slowly.
#[test]
fn a_chunked_body_arrives_as_it_was_sent() {
    let whole = body(1_500_000);
    for (sizes, style, write) in [
        (&[100_usize][..], "", 64 * 1024),
        (&[1024], "", 1000),
        (&[1, 2, 3], "", 37),
        (&[70_000, 1, 9_000], "", 8 * 1024),
        (&[100], ";name=\"a value\"", 64 * 1024),
        (&[5, 4000], ";x", 501),
        (&[33_000, 16], "", 1_000_000),
    ] {
        let bytes = &whole[..if write < 100 { 60_000 } else { whole.len() }];
        let mut encoded = Vec::new();
        let (mut rest, mut count) = (bytes, 0);
        for size in sizes.iter().cycle() {
            let (chunk, left) = rest.split_at((*size).min(rest.len()));
            let style = if count % 3 == 0 { style } else { "" };
            encoded.extend_from_slice(format!("{:X}{style}\r\n", chunk.len()).as_bytes());
            encoded.extend_from_slice(chunk);
            encoded.extend_from_slice(b"\r\n");
            (rest, count) = (left, count + 1);
            if rest.is_empty() {
                break;
            }
        }
        encoded.extend_from_slice(b"0\r\nSum: 7\r\nGone: x\r\n\r\n");
        let upstream = Upstream::scripted(move |_, mut peer| {
            while peer.request().is_some() {
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: gone\r\n\r\n");
                encoded.chunks(write).all(|piece| peer.try_send(piece));
            }
        });
        let gateway = Gateway::before(&upstream);
        for slow in [false, true] {
            let mut client = gateway.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
            if slow {
                // All that the kernel takes is there, and the rest goes on from where it stopped.
                std::thread::sleep(Duration::from_millis(200));
            }
            let answer = client.response();
            assert!(
                answer.complete && answer.body == bytes,
                "{sizes:?}{style} in {write}, slow: {slow}"
            );
            let trailers: Vec<&str> = answer.trailers.iter().map(|(name, _)| name.as_str()).collect();
            assert!(
                matches!(trailers[..], [only] if only.eq_ignore_ascii_case("sum")),
                "{trailers:?}"
            );
        }
        assert_eq!(
            upstream.connections(),
            1,
            "{sizes:?}{style} in {write}: used again"
        );
    }
}

/// A response that only a close ends is chunked for a client that keeps its connection.
#[test]
fn a_close_delimited_body_arrives_as_it_was_sent() {
    let whole = body(1_000_000);
    for write in [1_000_000, 1001] {
        let sent = whole.clone();
        let upstream = Upstream::scripted(move |_, mut peer| {
            if peer.request().is_some() {
                peer.send("HTTP/1.1 200 OK\r\n\r\n");
                sent.chunks(write).all(|piece| peer.try_send(piece));
            }
        });
        let gateway = Gateway::before(&upstream);
        for slow in [false, true] {
            let mut client = gateway.connect();
            client.send(ASK);
            if slow {
                std::thread::sleep(Duration::from_millis(200));
            }
            let answer = client.response();
            assert!(
                answer.complete && answer.body == whole,
                "in {write}, slow: {slow}"
            );
        }
    }
}
