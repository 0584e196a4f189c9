//! A request on a connection that has carried some allocates nothing in the codec, at either end.

use wire::field::Fields;
use wire::h2::{Config, Connection, Event, Scratch, StreamId};
use wire::message::{RequestHead, ResponseHead, Scheme, Size};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

struct End {
    connection: Connection,
    out: Vec<u8>,
    scratch: Scratch,
    /// The stream whose message came whole.
    whole: Option<StreamId>,
}

impl End {
    fn new(make: fn(Config, &mut Vec<u8>) -> Connection) -> Self {
        let mut out = Vec::new();
        Self {
            connection: make(Config::default(), &mut out),
            out,
            scratch: Scratch::default(),
            whole: None,
        }
    }

    fn read(&mut self, input: &[u8]) {
        let mut taken = 0;
        loop {
            let step = self
                .connection
                .next(&input[taken..], &mut self.scratch, &mut self.out)
                .expect("no violation");
            match step.event {
                Some(Event::Data { stream, data, end }) => {
                    self.connection.consume(stream, data.len(), &mut self.out);
                    self.whole = end.then_some(stream);
                }
                Some(Event::Trailers { stream }) => self.whole = Some(stream),
                _ => {}
            }
            taken += step.taken;
            if step.taken == 0 {
                assert_eq!(taken, input.len());
                return;
            }
        }
    }
}

struct Messages {
    request: RequestHead,
    response: ResponseHead,
    trailers: Fields,
    body: Vec<u8>,
}

fn exchange(client: &mut End, server: &mut End, wire: &mut Vec<u8>, messages: &Messages) {
    let sent = client
        .connection
        .send_request(&messages.request, false, &mut client.out)
        .expect("there is room");
    let stream = sent.stream;
    let send = |end: &mut End, last: bool| {
        let len = end
            .connection
            .send_data(stream, messages.body.len(), last, &mut end.out)
            .expect("it is open");
        end.out.extend_from_slice(&messages.body[..len]);
        assert_eq!(len, messages.body.len());
    };
    send(client, true);
    std::mem::swap(wire, &mut client.out);
    server.read(wire);
    wire.clear();
    assert_eq!(server.whole.take(), Some(stream));
    server
        .connection
        .send_response(stream, &messages.response, false, &mut server.out)
        .expect("it is open");
    send(server, false);
    server
        .connection
        .send_trailers(stream, &messages.trailers, &mut server.out)
        .expect("it is open");
    server.connection.release(stream, &mut server.out);
    std::mem::swap(wire, &mut server.out);
    client.read(wire);
    wire.clear();
    assert_eq!(client.whole.take(), Some(stream));
    client.connection.release(stream, &mut client.out);
}

#[test]
fn a_request_allocates_nothing_once_memory_has_grown() {
    let profiler = dhat::Profiler::builder().testing().build();
    let (mut client, mut server) = (End::new(Connection::client), End::new(Connection::server));
    let mut messages = Messages {
        request: RequestHead::default(),
        response: ResponseHead::default(),
        trailers: Fields::default(),
        body: vec![b'x'; 4096],
    };
    messages
        .request
        .set_target("POST", "example.com", "/some/path?query", "");
    messages.request.scheme = Some(Scheme::Https);
    messages.request.size = Size::Known(4096);
    messages.request.fields.push(b"user-agent", b"curl/8.0");
    messages.request.fields.push(b"cookie", b"a=b");
    messages.response.start(200);
    messages.response.size = Size::Known(4096);
    messages.response.fields.push(b"Content-Type", b"text/plain");
    messages.trailers.push(b"grpc-status", b"0");
    let mut wire = Vec::new();
    // Long enough for the connection's window to be given back, which takes room in the output.
    for _ in 0..300 {
        exchange(&mut client, &mut server, &mut wire, &messages);
    }
    let before = dhat::HeapStats::get();
    for _ in 0..2000 {
        exchange(&mut client, &mut server, &mut wire, &messages);
    }
    let after = dhat::HeapStats::get();
    assert_eq!(after.total_blocks - before.total_blocks, 0);
    drop(profiler);
    let size = size_of::<Connection>();
    assert!(size <= 768, "a connection takes {size} bytes");
}
