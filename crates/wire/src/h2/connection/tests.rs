use proptest::prelude::*;

use super::*;
use crate::message::{Scheme, Size};

/// Both ends of a connection, and what each has sent that the other has not read.
struct Pair {
    client: End,
    server: End,
}

struct End {
    connection: Connection,
    out: Vec<u8>,
    scratch: Scratch,
    events: Vec<Event>,
    data: Vec<u8>,
    costs: Vec<Cost>,
    failed: Option<Violation>,
}

impl End {
    fn new(role: Role, config: Config) -> Self {
        let mut out = Vec::new();
        Self {
            connection: Connection::new(role, config, &mut out),
            out,
            scratch: Scratch::default(),
            events: Vec::new(),
            data: Vec::new(),
            costs: Vec::new(),
            failed: None,
        }
    }

    /// Takes bytes in until nothing more is taken; returns how many were.
    fn read(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while self.failed.is_none() {
            let rest = &input[taken..];
            match self.connection.next(rest, &mut self.scratch, &mut self.out) {
                Err(violation) => self.failed = Some(violation),
                Ok(step) => {
                    if let Some(Event::Data { data, .. }) = &step.event {
                        self.data.extend_from_slice(&rest[data.clone()]);
                    }
                    self.events.extend(step.event);
                    self.costs.extend(step.cost);
                    taken += step.taken;
                    if step.taken == 0 {
                        break;
                    }
                }
            }
        }
        taken
    }

    fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

impl Pair {
    fn new(config: Config) -> Self {
        let mut pair = Self {
            client: End::new(Role::Client, config),
            server: End::new(Role::Server, config),
        };
        pair.pass();
        assert_eq!(
            pair.client.told(),
            [Event::Settings, WINDOW, Event::SettingsAcknowledged]
        );
        assert_eq!(
            pair.server.told(),
            [Event::Settings, WINDOW, Event::SettingsAcknowledged]
        );
        pair
    }

    /// Lets each read what the other has sent, until both are silent.
    fn pass(&mut self) {
        while !self.client.out.is_empty() || !self.server.out.is_empty() {
            let sent = std::mem::take(&mut self.client.out);
            assert_eq!(self.server.read(&sent), sent.len());
            let sent = std::mem::take(&mut self.server.out);
            assert_eq!(self.client.read(&sent), sent.len());
        }
    }

    fn ask(&mut self, head: &RequestHead, end: bool) -> StreamId {
        let sent = self
            .client
            .connection
            .send_request(head, end, &mut self.client.out)
            .unwrap();
        assert_eq!(sent.head_end, self.client.connection.written());
        self.pass();
        sent.stream
    }

    fn answer(&mut self, id: StreamId, head: &ResponseHead, end: bool) {
        let server = &mut self.server;
        server
            .connection
            .send_response(id, head, end, &mut server.out)
            .unwrap();
        self.pass();
    }
}

impl End {
    fn send(&mut self, id: StreamId, data: &[u8], end: bool) -> Result<usize, SendError> {
        let len = self.connection.send_data(id, data.len(), end, &mut self.out)?;
        self.out.extend_from_slice(&data[..len]);
        Ok(len)
    }
}

const WINDOW: Event = Event::WindowOpened { stream: None };

fn get() -> RequestHead {
    let mut head = RequestHead::default();
    head.set_target("GET", "example.com", "/a?b", "");
    head.scheme = Some(Scheme::Https);
    head
}

fn post(size: Size) -> RequestHead {
    let mut head = get();
    head.set_target("POST", "example.com", "/", "");
    head.size = size;
    head
}

fn ok() -> ResponseHead {
    let mut head = ResponseHead::default();
    head.start(200);
    head.size = Size::Unknown;
    head
}

#[test]
fn a_request_and_its_response_cross_with_all_that_they_say() {
    let mut pair = Pair::new(Config::default());
    let mut head = post(Size::Known(3));
    head.fields.push(b"Accept", b"*/*");
    head.fields.push(b"connection", b"close");
    head.fields.push(b"te", b"trailers, deflate");
    head.fields.push(b"cookie", b"a=b");
    let id = pair.ask(&head, false);
    assert_eq!(
        pair.server.told(),
        [Event::Request {
            stream: id,
            end: false
        }]
    );
    let came = &pair.server.scratch.request;
    assert_eq!(
        (came.method_text(), came.authority(), came.path()),
        ("POST", "example.com", "/")
    );
    assert_eq!((came.scheme, came.size), (Some(Scheme::Https), Size::Known(3)));
    let fields: Vec<_> = came.fields.iter().map(|(_, name, value)| (name, value)).collect();
    let expected: [(&[u8], &[u8]); 4] = [
        (b"accept", b"*/*"),
        (b"content-length", b"3"),
        (b"te", b"trailers"),
        (b"cookie", b"a=b"),
    ];
    assert_eq!(fields, expected);
    assert!(came.never_indexed, "the cookie was not to be indexed");

    assert_eq!(pair.client.send(id, b"abc", true), Ok(3));
    pair.pass();
    assert_eq!(pair.server.data, b"abc");
    let mut early = ResponseHead::default();
    early.start(103);
    pair.answer(id, &early, false);
    pair.answer(id, &ok(), false);
    assert_eq!(pair.server.send(id, b"defg", false), Ok(4));
    let mut trailers = Fields::default();
    trailers.push(b"grpc-status", b"0");
    let server = &mut pair.server;
    assert_eq!(
        server.connection.send_trailers(id, &trailers, &mut server.out),
        Ok(())
    );
    pair.pass();
    let told = pair.client.told();
    assert_eq!(told[0], Event::Interim { stream: id });
    assert_eq!(
        told[1],
        Event::Response {
            stream: id,
            end: false
        }
    );
    assert_eq!(told[3], Event::Trailers { stream: id });
    assert_eq!(pair.client.data, b"defg");
    assert_eq!(
        pair.client.scratch.trailers.get_named(b"grpc-status"),
        Some(&b"0"[..])
    );
    for end in [&mut pair.client, &mut pair.server] {
        end.connection.release(id, &mut end.out);
        assert!(end.out.is_empty() && end.connection.streams() == 0 && end.costs.len() < 3);
    }
}

#[test]
fn a_tunnel_is_asked_for_only_where_it_was_announced() {
    let mut head = get();
    head.set_target("CONNECT", "example.com", "/chat", "websocket");
    let mut refused = Pair::new(Config::default());
    let client = &mut refused.client;
    assert_eq!(
        client.connection.send_request(&head, false, &mut client.out),
        Err(SendError::NoConnectProtocol)
    );
    let mut pair = Pair::new(Config {
        connect_protocol: true,
        ..Config::default()
    });
    let id = pair.ask(&head, false);
    assert_eq!(pair.server.scratch.request.protocol(), Some("websocket"));
    assert_eq!(pair.server.scratch.request.size, Size::Unknown);
    let mut answer = ok();
    answer.fields.push(b"content-length", b"7");
    pair.answer(id, &answer, false);
    assert_eq!(pair.client.scratch.response.size, Size::Unknown);
    assert_eq!(pair.server.send(id, b"frame", false), Ok(5));
    assert_eq!(pair.client.send(id, b"frame", true), Ok(5));
    pair.pass();
    assert_eq!(
        (&pair.client.data[..], &pair.server.data[..]),
        (&b"frame"[..], &b"frame"[..])
    );
}

#[test]
fn windows_hold_a_sender_until_what_it_sent_is_consumed() {
    let config = Config {
        stream_window: 1000,
        connection_window: 70_000,
        ..Config::default()
    };
    let mut pair = Pair::new(config);
    let id = pair.ask(&post(Size::Unknown), false);
    assert_eq!(pair.client.connection.open_window(id), 1000);
    assert_eq!(pair.client.send(id, &[b'x'; 1500], true), Ok(1000));
    assert_eq!(pair.client.send(id, b"x", true), Ok(0));
    pair.pass();
    let server = &mut pair.server;
    server.connection.consume(id, 499, &mut server.out);
    assert!(server.out.is_empty(), "credit goes in halves");
    server.connection.consume(id, 1, &mut server.out);
    pair.pass();
    assert_eq!(pair.client.told(), [Event::WindowOpened { stream: Some(id) }]);
    assert_eq!(pair.client.send(id, &[b'x'; 500], true), Ok(500));
    pair.pass();
    // More than the window is the stream's end.
    let id = pair.ask(&post(Size::Unknown), false);
    pair.client
        .connection
        .streams
        .get_mut(id)
        .unwrap()
        .send_window
        .change(1)
        .unwrap();
    assert_eq!(pair.client.send(id, &[b'x'; 1001], false), Ok(1001));
    pair.server.told();
    pair.pass();
    let why = StreamError::WindowExceeded;
    assert_eq!(pair.server.told(), [Event::Broken { stream: id, why }]);
    // What nobody consumed is given back when its stream is released.
    assert_eq!(
        pair.client.told(),
        [Event::Reset {
            stream: id,
            code: ErrorCode::FLOW_CONTROL_ERROR
        }]
    );
}

#[test]
fn the_connections_credit_survives_streams_that_are_reset_and_released() {
    let config = Config {
        stream_window: 65_535,
        connection_window: 65_535,
        ..Config::default()
    };
    let mut pair = Pair {
        client: End::new(Role::Client, config),
        server: End::new(Role::Server, config),
    };
    pair.pass();
    for round in 0..50 {
        let id = pair.ask(&post(Size::Unknown), false);
        let len = pair.client.send(id, &[b'x'; 16_384], false).unwrap();
        assert_eq!(len, 16_384, "{round}");
        // Half of the time it is on its way when the stream is reset.
        if round % 2 == 0 {
            pair.pass();
        }
        let server = &mut pair.server;
        server.connection.reset(id, ErrorCode::CANCEL, &mut server.out);
        if round % 4 < 2 {
            server.connection.release(id, &mut server.out);
            pair.pass();
        } else {
            pair.pass();
            pair.server.connection.release(id, &mut pair.server.out);
            pair.pass();
        }
        pair.client.connection.release(id, &mut pair.client.out);
        pair.pass();
        assert_eq!(pair.server.failed.or(pair.client.failed), None);
    }
}

#[test]
fn settings_change_the_windows_of_open_streams() {
    let mut pair = Pair::new(Config::default());
    let id = pair.ask(&post(Size::Unknown), false);
    assert_eq!(pair.client.send(id, &[b'x'; 100], false), Ok(100));
    pair.pass();
    let settings = |window: u32| {
        let mut out = Vec::new();
        let payload = [&[0, 4][..], &window.to_be_bytes()].concat();
        frame::write(&mut out, Kind::Settings, 0, StreamId::CONNECTION, &payload);
        out
    };
    pair.client.read(&settings(50));
    assert_eq!(pair.client.connection.open_window(id), 0);
    assert_eq!(pair.client.send(id, b"x", true), Ok(0));
    pair.client.read(&settings(150));
    assert_eq!(pair.client.connection.open_window(id), 50);
    pair.client.read(&settings(1 << 31));
    assert_eq!(pair.client.failed, Some(Violation::WindowSetting));
}

#[test]
fn a_client_may_have_so_many_streams_and_those_it_resets_count_until_they_are_released() {
    let mut pair = Pair::new(Config {
        streams: 2,
        ..Config::default()
    });
    let (one, two) = (pair.ask(&get(), true), pair.ask(&get(), true));
    assert_eq!(pair.client.connection.room(), 0);
    let client = &mut pair.client;
    let full = client.connection.send_request(&get(), true, &mut client.out);
    assert_eq!(full, Err(SendError::NoRoom));
    client.connection.release(one, &mut client.out);
    client.connection.release(two, &mut client.out);
    pair.pass();
    assert_eq!(pair.server.costs, [Cost::PeerReset; 2]);
    pair.server.told();
    // It has room by its own count, and is refused: nothing is begun for it.
    let three = pair.ask(&get(), true);
    let why = StreamError::TooManyStreams;
    assert_eq!(pair.server.told(), [Event::Broken { stream: three, why }]);
    assert_eq!(
        pair.client.told().last(),
        Some(&Event::Reset {
            stream: three,
            code: ErrorCode::REFUSED_STREAM
        })
    );
    pair.server.connection.release(one, &mut pair.server.out);
    let four = pair.ask(&get(), true);
    assert_eq!(
        pair.server.told(),
        [Event::Request {
            stream: four,
            end: true
        }]
    );
}

#[test]
fn leaving_takes_two_steps_and_streams_between_them_are_served() {
    let mut pair = Pair::new(Config::default());
    let one = pair.ask(&get(), true);
    let server = &mut pair.server;
    server.connection.drain(&mut server.out);
    server.connection.drain(&mut server.out);
    // A request that was sent before the client knew.
    let client = &mut pair.client;
    let two = client
        .connection
        .send_request(&get(), true, &mut client.out)
        .unwrap()
        .stream;
    pair.server.told();
    pair.pass();
    assert_eq!(
        pair.server.told(),
        [
            Event::Request {
                stream: two,
                end: true
            },
            Event::Drained
        ]
    );
    let code = ErrorCode::NO_ERROR;
    assert_eq!(
        pair.client.told(),
        [
            Event::GoAway {
                last: StreamId::MAX,
                code
            },
            Event::GoAway { last: two, code }
        ]
    );
    let client = &mut pair.client;
    assert_eq!(client.connection.room(), 0);
    assert_eq!(
        client.connection.send_request(&get(), true, &mut client.out),
        Err(SendError::Leaving)
    );
    assert_eq!(client.connection.streams_above(one).collect::<Vec<_>>(), [two]);
    for id in [one, two] {
        pair.answer(id, &ok(), true);
    }
    assert_eq!(pair.client.told().len(), 2);
}

#[test]
fn a_response_that_is_whole_before_its_request_asks_the_client_to_stop() {
    let mut pair = Pair::new(Config::default());
    let id = pair.ask(&post(Size::Unknown), false);
    pair.answer(id, &ok(), true);
    pair.server.connection.release(id, &mut pair.server.out);
    pair.client.told();
    // What is on its way meanwhile breaks nothing.
    assert_eq!(pair.client.send(id, b"late", false), Ok(4));
    pair.pass();
    assert_eq!(
        pair.client.told(),
        [Event::Reset {
            stream: id,
            code: ErrorCode::NO_ERROR
        }]
    );
    assert_eq!(
        (pair.server.failed, &pair.server.costs[..]),
        (None, &[Cost::Late][..])
    );
}

#[test]
fn content_must_be_as_long_as_it_was_said_to_be() {
    for (size, sent) in [(3, "ab"), (3, "abcd"), (0, "a")] {
        let mut pair = Pair::new(Config::default());
        let id = pair.ask(&post(Size::Known(size)), false);
        pair.server.told();
        assert_eq!(pair.client.send(id, sent.as_bytes(), true), Ok(sent.len()));
        pair.pass();
        let why = StreamError::LengthMismatch;
        assert_eq!(
            pair.server.told(),
            [Event::Broken { stream: id, why }],
            "{size} {sent}"
        );
        assert_eq!(pair.server.data, b"", "nothing of it was handed on");
    }
}

#[test]
fn nothing_is_read_while_answers_wait_to_be_sent() {
    let mut pair = Pair::new(Config {
        output_bytes: 100,
        ..Config::default()
    });
    for _ in 0..1000 {
        pair.client.connection.ping(*b"12345678", &mut pair.client.out);
    }
    let pings = std::mem::take(&mut pair.client.out);
    let taken = pair.server.read(&pings);
    assert!(taken < pings.len() && pair.server.out.len() < 100 + 2 * 17);
    assert_eq!(pair.server.costs.len(), taken / 17);
}

/// Messages of a client: requests of several kinds, on streams that overlap.
fn some_traffic(config: Config) -> Vec<u8> {
    let mut client = End::new(Role::Client, config);
    let mut open = Vec::new();
    for round in 0..6_usize {
        let mut head = if round % 2 == 0 {
            post(Size::Unknown)
        } else {
            get()
        };
        head.fields.push(b"x-long", &vec![b'y'; 9000 * round]);
        let sent = client
            .connection
            .send_request(&head, round % 2 == 1, &mut client.out)
            .unwrap();
        if round % 2 == 0 {
            open.push(sent.stream);
        }
        for &id in &open {
            client.send(id, &vec![b'z'; 300 * round], round == 4).unwrap();
        }
        if round == 4 {
            open.clear();
        }
        client.connection.ping([round as u8; 8], &mut client.out);
    }
    client.out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_bytes_arrive_the_same_is_told(cuts in prop::collection::vec(1..3000_usize, 1..80)) {
        let bytes = some_traffic(Config::default());
        let (mut whole, mut cut) = (End::new(Role::Server, Config::default()), End::new(Role::Server, Config::default()));
        prop_assert_eq!(whole.read(&bytes), bytes.len());
        let (mut taken, mut there) = (0, 0);
        for len in cuts.iter().cycle() {
            there = bytes.len().min(there + len);
            taken += cut.read(&bytes[taken..there]);
            prop_assert!(there - taken <= FrameHeader::LEN + FRAME_BYTES_DEFAULT);
            if there == bytes.len() {
                break;
            }
        }
        prop_assert_eq!(taken, bytes.len());
        prop_assert_eq!(whole.failed, None);
        let heads = |end: &End| end.events.iter().filter(|event| !matches!(event, Event::Data { .. })).cloned().collect::<Vec<_>>();
        prop_assert_eq!(heads(&whole), heads(&cut));
        prop_assert_eq!(&whole.data, &cut.data);
        prop_assert_eq!(&whole.out, &cut.out);
        prop_assert_eq!(whole.connection.written(), whole.out.len() as u64);
    }

    #[test]
    fn any_bytes_behind_the_preface_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), server in any::<bool>()) {
        let mut end = End::new(if server { Role::Server } else { Role::Client }, Config::default());
        let mut input = if server { PREFACE.to_vec() } else { Vec::new() };
        input.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        // Frames that are short, on low streams, of all types.
        for chunk in bytes.chunks(24) {
            let len = chunk.len().saturating_sub(3);
            input.extend_from_slice(&[0, 0, len as u8, chunk[0] % 12, *chunk.get(1).unwrap_or(&0), 0, 0, 0, chunk.get(2).unwrap_or(&0) % 8]);
            input.extend_from_slice(chunk.get(3..).unwrap_or_default());
        }
        let taken = end.read(&input);
        prop_assert!(end.failed.is_some() || input.len() - taken < 64);
    }
}
