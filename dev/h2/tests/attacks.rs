//! The known attacks on HTTP/2, each against the codec and the budget: what one connection can make us do, write and
//! hold before it is refused.

use policy::h2_budget::{Behaviour, H2Budget};
use policy::time::Moment;
use wire::h2::hpack::HpackError;
use wire::h2::{Config, Connection, ErrorCode, Event, PREFACE, Scratch, StreamError, StreamId, Violation};
use wire::message::ResponseHead;

const HEADERS: u8 = 1;
const END: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET / HTTP/2` of `a`, by http.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
/// `POST / HTTP/2` of `a`, by http.
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = (payload.len() as u32).to_be_bytes();
    let header = [&[a, b, c, kind, flags][..], &stream.to_be_bytes()].concat();
    [&header, payload].concat()
}

/// What a stream of this number is attacked with.
type Attack<'a> = &'a dyn Fn(u32) -> Vec<u8>;

/// How an attack ended.
#[derive(Debug, PartialEq)]
enum End {
    Budget(Behaviour),
    Violation(Violation),
}

/// A server under attack at one moment, so that time gives nothing back.
struct Server {
    connection: Connection,
    budget: H2Budget,
    scratch: Scratch,
    out: Vec<u8>,
    /// Requests that were begun.
    begun: usize,
    /// The most streams that were held at a time.
    streams: usize,
    broken: Vec<StreamError>,
    /// Whether each request is answered and released at once.
    answers: bool,
}

impl Server {
    fn new(answers: bool) -> Self {
        let mut out = Vec::new();
        let connection = Connection::server(Config::default(), &mut out);
        let mut server = Self {
            connection,
            budget: H2Budget::new(Moment::default()),
            scratch: Scratch::default(),
            out,
            begun: 0,
            streams: 0,
            broken: Vec::new(),
            answers,
        };
        assert_eq!(server.read(&[PREFACE, &frame(4, 0, 0, &[])].concat()), None);
        server
    }

    /// Takes bytes in as a peer would that sends all output at once.
    fn read(&mut self, input: &[u8]) -> Option<End> {
        let mut taken = 0;
        loop {
            let step = match self
                .connection
                .next(&input[taken..], &mut self.scratch, &mut self.out)
            {
                Ok(step) => step,
                Err(violation) => return Some(End::Violation(violation)),
            };
            assert!(self.out.len() < 1024, "a frame is answered by few bytes");
            self.out.clear();
            if let Some(cost) = step.cost
                && let Err(exhausted) = self
                    .budget
                    .on_behaviour(h2lab::behaviour(cost), Moment::default())
            {
                self.connection.close(ErrorCode::ENHANCE_YOUR_CALM, &mut self.out);
                return Some(End::Budget(exhausted.most));
            }
            self.act(step.event);
            self.streams = self.streams.max(self.connection.streams());
            taken += step.taken;
            if step.taken == 0 {
                assert!(
                    input.len() - taken <= 9 + 16_384,
                    "what is kept is a frame at most"
                );
                return None;
            }
        }
    }

    fn act(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Request { stream, end }) => {
                self.begun += 1;
                if self.answers && end {
                    self.answer(stream);
                }
            }
            Some(Event::Data { stream, data, .. }) => {
                self.connection.consume(stream, data.len(), &mut self.out);
            }
            Some(Event::Broken { stream, why }) => {
                self.broken.push(why);
                self.connection.release(stream, &mut self.out);
            }
            Some(Event::Reset { stream, .. }) if self.answers => {
                self.connection.release(stream, &mut self.out);
            }
            _ => {}
        }
    }

    fn answer(&mut self, stream: StreamId) {
        let mut head = ResponseHead::default();
        head.start(200);
        let sent = self.connection.send_response(stream, &head, true, &mut self.out);
        assert!(sent.is_ok(), "{sent:?}");
        self.connection.release(stream, &mut self.out);
        self.budget.on_finished_request();
    }

    /// Lets `attack` send its nth bytes until the end; `most` times at most.
    fn under(&mut self, most: u32, attack: impl Fn(u32) -> Vec<u8>) -> (u32, End) {
        for count in 0..most {
            if let Some(end) = self.read(&attack(count)) {
                return (count, end);
            }
        }
        panic!("borne {most} times");
    }
}

fn request(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, block)
}

fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &8_u32.to_be_bytes())
}

#[test]
fn rapid_reset() {
    // A server that needs time: what was reset holds its place, so no more than 100 are ever begun.
    let mut server = Server::new(false);
    let attack = |count: u32| [request(2 * count + 1, END, GET), reset(2 * count + 1)].concat();
    let (count, end) = server.under(10_000, attack);
    assert_eq!((server.begun, server.streams), (100, 100));
    assert!(count <= 500, "{count}");
    assert_eq!(end, End::Budget(Behaviour::OwnReset), "most of it were refusals");
    // One that lets each go at once is spared the rest by the budget.
    let mut server = Server::new(false);
    let mut borne = 0;
    for count in 0..10_000 {
        if server.read(&attack(count)).is_some() {
            break;
        }
        server.connection.release(stream_of(&server), &mut server.out);
        borne += 1;
    }
    assert_eq!(borne, 500);
}

fn stream_of(server: &Server) -> StreamId {
    server
        .connection
        .streams_above(StreamId::default())
        .next()
        .unwrap_or_default()
}

#[test]
fn made_you_reset() {
    let zero_update = |id: u32| [request(id, END, GET), frame(8, 0, id, &[0; 4])].concat();
    let overflow = |id: u32| {
        [
            request(id, END, GET),
            frame(8, 0, id, &0x7fff_ffff_u32.to_be_bytes()),
        ]
        .concat()
    };
    let after_end = |id: u32| [request(id, END, GET), frame(0, 0, id, b"x")].concat();
    let itself = |id: u32| {
        [
            request(id, END, GET),
            frame(2, 0, id, &[&id.to_be_bytes()[..], &[0]].concat()),
        ]
        .concat()
    };
    let length = |id: u32| {
        let block = [POST, &[0x0f, 0x0d, 1, b'1']].concat();
        [request(id, 0, &block), frame(0, END, id, b"xy")].concat()
    };
    let malformed = |id: u32| request(id, END, &[0x82, 0x86]);
    let attacks: [(Attack<'_>, StreamError); 6] = [
        (&zero_update, StreamError::ZeroWindowUpdate),
        (&overflow, StreamError::WindowOverflow),
        (&after_end, StreamError::AfterEnd),
        (&itself, StreamError::BadPriority),
        (&length, StreamError::LengthMismatch),
        (&malformed, StreamError::MissingPseudo),
    ];
    for (attack, why) in attacks {
        let mut server = Server::new(false);
        let (count, end) = server.under(10_000, |count| attack(2 * count + 1));
        assert_eq!((count, end), (500, End::Budget(Behaviour::OwnReset)), "{why:?}");
        assert!(server.broken.iter().all(|&broken| broken == why) && server.streams <= 1);
        // Leaving does not make it cheaper.
        let mut server = Server::new(false);
        server.connection.drain(&mut server.out);
        let (count, _) = server.under(10_000, |count| attack(2 * count + 1));
        assert_eq!(count, 500, "{why:?}");
    }
}

#[test]
fn refused_streams_cost_what_resets_cost() {
    let mut server = Server::new(false);
    let (count, end) = server.under(10_000, |count| request(2 * count + 1, END, GET));
    assert_eq!((count, end), (600, End::Budget(Behaviour::OwnReset)));
    assert_eq!((server.begun, server.streams), (100, 100));
}

#[test]
fn continuation_flood() {
    for (fragment, borne) in [(&[][..], 8), (&[0x40, 0, 0][..], 8), (&[b'x'; 16_384][..], 3)] {
        let mut server = Server::new(false);
        assert_eq!(server.read(&frame(HEADERS, END, 1, fragment)), None);
        let (count, end) = server.under(100, |_| frame(9, 0, 1, fragment));
        assert_eq!(count, if fragment.len() > 100 { borne - 1 } else { borne });
        assert!(
            matches!(
                end,
                End::Violation(Violation::TooManyContinuations | Violation::BlockTooLarge)
            ),
            "{end:?}"
        );
    }
}

#[test]
fn hpack_bomb() {
    // One entry of 4,000 bytes, named 50,000 times: 200 MB, were it copied.
    let entry = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'v'; 4000]].concat();
    let bomb = [GET, &entry, &[0xbe; 12_000]].concat();
    let mut server = Server::new(true);
    for id in 0..50 {
        // Each is refused for its size, and none costs more than its own bytes.
        assert_eq!(server.read(&request(2 * id + 1, END, &bomb)), None);
    }
    assert!(server.broken.iter().all(|&why| why == StreamError::TooLarge) && server.broken.len() == 50);
    // Fields of three bytes.
    let empty = [GET, &[0, 1, b'x', 0].repeat(4000)].concat();
    assert_eq!(server.read(&request(101, END, &empty)), None);
    assert_eq!(server.broken.last(), Some(&StreamError::TooManyFields));
}

#[test]
fn table_churn() {
    let resize = [0x20, 0x3f, 0xe1, 0x1f];
    let mut server = Server::new(true);
    for id in 0..1000 {
        assert_eq!(
            server.read(&request(2 * id + 1, END, &[&resize[..], GET].concat())),
            None
        );
    }
    let (_, end) = server.under(1, |_| request(2001, END, &[&resize[..], &[0x20], GET].concat()));
    assert_eq!(
        end,
        End::Violation(Violation::Hpack(HpackError::MisplacedTableSize))
    );
    let (_, end) = Server::new(true).under(1, |_| request(1, END, &[&[0x3f, 0xe2, 0x1f][..], GET].concat()));
    assert_eq!(end, End::Violation(Violation::Hpack(HpackError::TableTooLarge)));
}

#[test]
fn floods_of_small_frames() {
    let window = |by: u32| frame(8, 0, 0, &by.to_be_bytes());
    let update = [&1_u32.to_be_bytes()[..], b"u=1"].concat();
    let floods: [(Vec<u8>, Behaviour, u32); 10] = [
        (frame(6, 0, 0, b"12345678"), Behaviour::Ping, 2500),
        (frame(4, 0, 0, &[]), Behaviour::Settings, 1000),
        (
            frame(4, 0, 0, &[0, 4, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0]),
            Behaviour::Settings,
            1000,
        ),
        (frame(2, 0, 1, &[0, 0, 0, 3, 0]), Behaviour::Priority, 5000),
        (frame(0x10, 0, 0, &update), Behaviour::Priority, 5000),
        (window(1), Behaviour::SmallWindowUpdate, 25_000),
        (frame(0, 0, 1, &[]), Behaviour::EmptyData, 2500),
        (frame(0, 8, 1, &[0; 256]), Behaviour::EmptyData, 2500),
        (frame(0, 0, 1, b"x"), Behaviour::SmallData, 50_000),
        (frame(0xbe, 0, 0, &[]), Behaviour::Unknown, 5000),
    ];
    for (flood, behaviour, borne) in floods {
        let mut flood = flood;
        if behaviour == Behaviour::EmptyData && flood.len() > 9 {
            // All of it is padding.
            flood[9] = 255;
        }
        let mut server = Server::new(false);
        assert_eq!(server.read(&request(1, 0, POST)), None);
        let (count, end) = server.under(60_000, |_| flood.clone());
        assert_eq!((count, end), (borne, End::Budget(behaviour)));
    }
}

#[test]
fn frames_on_streams_that_are_over() {
    let mut server = Server::new(false);
    assert_eq!(server.read(&request(1, 0, POST)), None);
    server.connection.release(stream_of(&server), &mut server.out);
    let (count, end) = server.under(10_000, |_| frame(0, 0, 1, &[0; 1000]));
    assert_eq!((count, end), (5000, End::Budget(Behaviour::Late)));
}

#[test]
fn slow_reader() {
    // A client that takes nothing: what we may write is what its window holds.
    let mut server = Server::new(false);
    assert_eq!(server.read(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])), None);
    assert_eq!(server.read(&request(1, END, GET)), None);
    let stream = stream_of(&server);
    let mut head = ResponseHead::default();
    head.start(200);
    server
        .connection
        .send_response(stream, &head, false, &mut server.out)
        .unwrap();
    assert_eq!(
        server
            .connection
            .send_data(stream, 1 << 20, true, &mut server.out),
        Ok(0)
    );
    // A window that is shut after it was used is legal, and is negative then.
    assert_eq!(server.read(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 9])), None);
    assert_eq!(
        server
            .connection
            .send_data(stream, 1 << 20, true, &mut server.out),
        Ok(9)
    );
    server.out.resize(server.out.len() + 9, b'x');
    assert_eq!(server.read(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])), None);
    assert_eq!(server.read(&frame(8, 0, 1, &9_u32.to_be_bytes())), None);
    assert_eq!(server.connection.open_window(stream), 0);
}

#[test]
fn a_peer_that_sends_more_than_was_allowed_ends_with_its_connection() {
    let mut server = Server::new(false);
    let full = frame(0, 0, 1, &[0; 16_384]);
    assert_eq!(server.read(&request(1, 0, POST)), None);
    server.broken.clear();
    // Nothing is consumed by a stream that is gone, yet the connection's window is given back.
    for _ in 0..200 {
        assert_eq!(server.read(&full), None);
    }
    // A frame that is larger than any may be is refused before it came.
    let (_, end) = server.under(1, |_| vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1]);
    assert_eq!(end, End::Violation(Violation::FrameTooLarge));
    for (frames, violation) in [
        (frame(5, 4, 1, &[0, 0, 0, 2]), Violation::Push),
        (frame(0, 0, 0, b"x"), Violation::BadStreamId),
        (frame(0, 0, 9, b"x"), Violation::IdleStream),
        (frame(0, 8, 1, &[9, 0]), Violation::BadPadding),
        (frame(8, 0, 0, &[0; 4]), Violation::ZeroWindowUpdate),
        (
            frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            Violation::WindowOverflow,
        ),
        (frame(4, 0, 0, &[0, 5, 0, 0, 0, 1]), Violation::BadSetting),
        (frame(4, 0, 0, &[0; 5]), Violation::BadFrameSize),
        (frame(4, 1, 0, &[0; 6]), Violation::BadFrameSize),
        (frame(6, 0, 0, &[0; 7]), Violation::BadFrameSize),
        (frame(9, 4, 1, &[]), Violation::BlockInterrupted),
        (request(2, END, GET), Violation::StreamIdReused),
    ] {
        let mut server = Server::new(false);
        assert_eq!(server.read(&request(1, 0, POST)), None);
        let (_, end) = server.under(1, |_| frames.clone());
        assert_eq!(end, End::Violation(violation));
    }
}

#[test]
fn silence_and_half_frames_hold_a_frame_at_most() {
    let mut out = Vec::new();
    for config in [Config::default()] {
        let mut connection = Connection::server(config, &mut out);
        let mut scratch = Scratch::default();
        // A preface that comes byte by byte, then one that is none.
        for byte in PREFACE {
            assert_eq!(
                connection
                    .next(&[*byte], &mut scratch, &mut out)
                    .map(|step| step.taken),
                Ok(1)
            );
        }
        let half = &frame(4, 0, 0, &[0; 12])[..20];
        assert_eq!(
            connection
                .next(half, &mut scratch, &mut out)
                .map(|step| step.taken),
            Ok(0)
        );
        let mut connection = Connection::server(config, &mut out);
        let end = connection.next(b"GET / HTTP/1.1\r\n", &mut scratch, &mut out);
        assert_eq!(end, Err(Violation::BadPreface));
        assert_eq!(
            connection.next(b"x", &mut scratch, &mut out),
            Err(Violation::BadPreface),
            "for ever"
        );
    }
}
