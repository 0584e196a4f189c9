//! In the steady state a request costs no allocation.
//!
//! A test of its own, since the allocator that counts is the whole process's. The client and the
//! endpoint here are plain threads with buffers on their stacks, so that all that is counted is the
//! proxy's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use config::model::{AccessLog, LogFormat, LogSink};
use proxy::control::server::{Options, Server};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Requests before it counts: buffers grow to their size, the learner fills its tables.
const WARM: usize = 3_000;
const COUNTED: usize = 20_000;

/// What the clock does by itself meanwhile: the date's text each second, log buffers, statistics.
const OTHERWISE: u64 = 200;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: endpoint\r\n\
                        Content-Length: 12\r\n\r\nhello, world";
const GET: &[u8] = b"GET /path?query=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\n\
                     Accept: */*\r\nCookie: a=b; c=d\r\n\r\n";
const POST: &[u8] = b"POST /path HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_request_in_the_steady_state_allocates_nothing() {
    let endpoint = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = endpoint.local_addr().expect("bound");
    std::thread::spawn(move || {
        for connection in endpoint.incoming().flatten() {
            std::thread::spawn(move || answer(connection));
        }
    });
    let log = std::env::temp_dir().join(format!("evenkeel-allocations-{}.log", std::process::id()));
    let mut model = config::single(
        &format!("http://{address}"),
        SocketAddr::from(([127, 0, 0, 1], 0)),
    )
    .expect("a configuration");
    model.access_log = AccessLog {
        format: LogFormat::Json,
        sink: LogSink::File(log.clone()),
    };
    let options = Options {
        workers: 1,
        admin: None,
        drain_timeout: Duration::from_secs(1),
        state_file: None,
        unfinished_heads_max: proxy::control::server::UNFINISHED_HEADS_MAX,
        logging: None,
    };
    let server = Server::start(model, options).expect("a server");
    let listening = server.addresses()[0].1;
    let mut client = TcpStream::connect(listening).expect("connected");
    for request in [GET, POST] {
        ask(&mut client, request, WARM);
        let profiler = dhat::Profiler::builder().testing().build();
        drop(std::hint::black_box(Box::new(1)));
        assert_eq!(dhat::HeapStats::get().total_blocks, 1, "the allocator counts");
        let before = dhat::HeapStats::get().total_blocks;
        ask(&mut client, request, COUNTED);
        let allocated = dhat::HeapStats::get().total_blocks - before;
        drop(profiler);
        assert!(
            allocated <= OTHERWISE,
            "{allocated} allocations for {COUNTED} requests of {}",
            String::from_utf8_lossy(&request[..4])
        );
    }
    drop(client);
    server.drain();
    let _ = std::fs::remove_file(log);
}

fn ask(client: &mut TcpStream, request: &[u8], times: usize) {
    let mut buffer = [0; 4096];
    for _ in 0..times {
        client.write_all(request).expect("sent");
        let mut read = 0;
        while !buffer[..read].ends_with(b"hello, world") {
            let count = client.read(&mut buffer[read..]).expect("an answer");
            assert!(count > 0, "closed: {}", String::from_utf8_lossy(&buffer[..read]));
            read += count;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"));
    }
}

fn answer(mut connection: TcpStream) {
    let mut buffer = [0; 4096];
    let mut held = 0;
    loop {
        match connection.read(&mut buffer[held..]) {
            Ok(count) if count > 0 => held += count,
            _ => return,
        }
        let complete = buffer[..held].ends_with(b"\r\n\r\n") || buffer[..held].ends_with(b"hello");
        if complete {
            held = 0;
            if connection.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}
