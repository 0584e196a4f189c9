//! What must hold of HTTP/2's codec for any bytes, in both roles.

use wire::field::Known;
use wire::h2::hpack::{Decoder, Encoder, Indexing, Strings};
use wire::h2::{Config, Connection, Event, PREFACE, Scratch, StreamId, Violation};
use wire::message::{Method, RequestHead, ResponseHead, Scheme, Size};

/// Small limits, so that the fuzzer meets them.
const TIGHT: Config = Config {
    streams: 2,
    stream_window: 100,
    connection_window: 65_535,
    table_size: 64,
    head_bytes: 400,
    fields: 3,
    trailer_bytes: 80,
    connect_protocol: true,
    indexing: Indexing::Dynamic,
    output_bytes: 200,
};

/// What was made of some bytes.
#[derive(Debug, Default, PartialEq)]
struct Told {
    heads: Vec<String>,
    content: Vec<u8>,
    end: Option<Violation>,
    taken: usize,
    written: Vec<u8>,
}

/// Connections: no panic, no bytes beyond the input; the same is told and answered however the bytes arrive; what is
/// told of as a message can be sent, and is read as the same message again; memory and output stay within limits.
pub fn connection(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else {
        return;
    };
    let config = if how & 1 == 0 { Config::default() } else { TIGHT };
    let is_server = how & 2 == 0;
    let begin: &[u8] = if is_server && how & 4 == 0 { PREFACE } else { &[] };
    let settings: &[u8] = if how & 8 == 0 {
        &[0, 0, 0, 4, 0, 0, 0, 0, 0]
    } else {
        &[]
    };
    let input = [begin, settings, data].concat();
    let whole = read(&input, usize::MAX, is_server, config);
    let piece = 1 + usize::from(how >> 4);
    assert_eq!(read(&input, piece, is_server, config), whole);
}

/// Feeds the input in pieces to an end that answers requests and consumes content at once.
fn read(input: &[u8], piece: usize, is_server: bool, config: Config) -> Told {
    let (mut out, mut scratch, mut told) = (Vec::new(), Scratch::default(), Told::default());
    let mut connection = if is_server {
        Connection::server(config, &mut out)
    } else {
        let mut connection = Connection::client(config, &mut out);
        let mut head = RequestHead::default();
        head.set_target("GET", "a", "/", "");
        head.scheme = Some(Scheme::Http);
        for _ in 0..3 {
            connection
                .send_request(&head, true, &mut out)
                .expect("there is room");
        }
        connection
    };
    let mut there = 0;
    while there < input.len() && told.end.is_none() {
        there = input.len().min(there.saturating_add(piece));
        loop {
            // All output is sent at once, so that it never is what keeps the input waiting.
            told.written.append(&mut out);
            let rest = &input[told.taken..there];
            let step = match connection.next(rest, &mut scratch, &mut out) {
                Ok(step) => step,
                Err(violation) => {
                    told.end = Some(violation);
                    break;
                }
            };
            assert!(step.taken <= rest.len());
            if let Some(event) = step.event {
                act(&mut connection, event, rest, &scratch, &mut out, &mut told);
            }
            told.taken += step.taken;
            if step.taken == 0 {
                assert!(rest.len() < 9 + 16_384, "a frame that is whole is taken");
                break;
            }
        }
        assert!(connection.streams() <= 2 * config.streams as usize);
    }
    told.written.append(&mut out);
    assert_eq!(connection.written(), told.written.len() as u64);
    told
}

fn act(
    connection: &mut Connection,
    event: Event,
    rest: &[u8],
    scratch: &Scratch,
    out: &mut Vec<u8>,
    told: &mut Told,
) {
    match event {
        Event::Data { stream, data, end } => {
            told.content.extend_from_slice(&rest[data.clone()]);
            // When credit is given back depends on how content came, so it waits for the message's end.
            if end {
                connection.consume(stream, usize::MAX, out);
                told.heads.push(format!("{stream} end"));
                answer(connection, stream, out);
            }
        }
        Event::Request { stream, end } => {
            request_is_read_as_it_is_sent(&scratch.request, end);
            told.heads.push(format!("{stream} {:?} {end}", scratch.request));
            if end {
                answer(connection, stream, out);
            }
        }
        Event::Response { stream, end } => {
            response_is_read_as_it_is_sent(&scratch.response, end);
            told.heads.push(format!("{stream} {:?} {end}", scratch.response));
        }
        Event::Interim { .. } => told.heads.push(format!("{:?}", scratch.response)),
        Event::Trailers { stream } => {
            told.heads.push(format!("{stream} {:?}", scratch.trailers));
            answer(connection, stream, out);
        }
        Event::Broken { stream, .. } | Event::Reset { stream, .. } => {
            told.heads.push(format!("{event:?}"));
            connection.release(stream, out);
        }
        other => told.heads.push(format!("{other:?}")),
    }
}

/// A response with some content, as much as the window takes.
fn answer(connection: &mut Connection, stream: StreamId, out: &mut Vec<u8>) {
    let mut head = ResponseHead::default();
    head.start(200);
    head.size = Size::Unknown;
    if connection.send_response(stream, &head, false, out).is_ok() {
        let len = connection.send_data(stream, 20_000, true, out).unwrap_or(0);
        assert!(len <= 16_384);
        out.resize(out.len() + len, b'x');
    }
    connection.release(stream, out);
}

fn request_is_read_as_it_is_sent(head: &RequestHead, end: bool) {
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    let config = Config {
        connect_protocol: true,
        ..Config::default()
    };
    let mut server = Connection::server(config, &mut Vec::new());
    let mut client = Connection::client(config, &mut out);
    // The client has to know first that a protocol may be asked for.
    let allowed = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1];
    client
        .next(&allowed, &mut Scratch::default(), &mut out)
        .expect("settings");
    client
        .send_request(head, end, &mut out)
        .expect("what was told of can be sent");
    let again = first(&mut server, &out, &mut scratch);
    assert!(
        matches!(again, Some(Event::Request { end: said, .. }) if said == end),
        "{again:?} {head:?}"
    );
    let read = &scratch.request;
    assert_eq!(
        (read.method_text(), read.authority(), read.path()),
        (head.method_text(), head.authority(), head.path())
    );
    assert_eq!(
        (read.protocol(), read.scheme, read.size),
        (head.protocol(), head.scheme, head.size)
    );
    let crossing = |head: &RequestHead| {
        let fields = head.fields.iter();
        fields.filter(|(known, ..)| !ENDS_HERE.contains(known)).count()
    };
    assert!(
        head.method == Method::Connect || crossing(read) == crossing(head),
        "{head:?} {read:?}"
    );
}

/// Fields that are written anew, or not at all.
const ENDS_HERE: [Known; 4] = [
    Known::Te,
    Known::Http2Settings,
    Known::ProxyAuthorization,
    Known::ContentLength,
];

fn response_is_read_as_it_is_sent(head: &ResponseHead, end: bool) {
    let (mut out, mut answers, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
    let mut client = Connection::client(Config::default(), &mut out);
    let mut server = Connection::server(Config::default(), &mut answers);
    let mut request = RequestHead::default();
    request.set_target("GET", "a", "/", "");
    request.scheme = Some(Scheme::Http);
    client
        .send_request(&request, true, &mut out)
        .expect("there is room");
    let Some(Event::Request { stream, .. }) = first(&mut server, &out, &mut scratch) else {
        panic!("our own request is no request");
    };
    server
        .send_response(stream, head, end, &mut answers)
        .expect("what was told of can be sent");
    let again = first(&mut client, &answers, &mut scratch);
    assert!(
        matches!(again, Some(Event::Response { end: said, .. }) if said == end),
        "{again:?} {head:?}"
    );
    assert_eq!(
        (scratch.response.status, scratch.response.size),
        (head.status, head.size)
    );
}

/// The first message that is told of.
fn first(connection: &mut Connection, mut input: &[u8], scratch: &mut Scratch) -> Option<Event> {
    loop {
        let step = connection
            .next(input, scratch, &mut Vec::new())
            .expect("we keep to the protocol");
        let message = step.event.filter(|event| {
            matches!(
                event,
                Event::Request { .. } | Event::Response { .. } | Event::Broken { .. }
            )
        });
        if message.is_some() || step.taken == 0 {
            return message;
        }
        input = &input[step.taken..];
    }
}

/// Header blocks: no panic, no more fields than bytes; what was decoded is encoded and decoded to the same.
pub fn hpack(data: &[u8]) {
    let (mut decoder, mut strings) = (Decoder::new(), Strings::default());
    let (mut encoder, mut again) = (Encoder::new(Indexing::Dynamic), Decoder::new());
    // A zero byte ends a block here: it may cut one in two, which is a block as well.
    for block in data.split(|&byte| byte == 0) {
        let mut fields = Vec::new();
        let end = decoder.decode(block, &mut strings, |field| {
            fields.push((
                field.name.to_ascii_lowercase(),
                field.value.to_vec(),
                field.never_indexed,
            ));
        });
        assert!(fields.len() <= block.len());
        let mut out = Vec::new();
        encoder.on_peer_table_size(u32::from(*block.first().unwrap_or(&0)) * 32);
        encoder.begin(&mut out);
        for (name, value, never) in &fields {
            encoder.field(&mut out, name, value, *never);
        }
        let mut reread = Vec::new();
        let take =
            |field: wire::h2::hpack::Field<'_>| reread.push((field.name.to_vec(), field.value.to_vec()));
        assert_eq!(again.decode(&out, &mut strings, take), Ok(()));
        assert!(
            reread
                .iter()
                .map(|(name, value)| (name, value))
                .eq(fields.iter().map(|(name, value, _)| (name, value)))
        );
        if end.is_err() {
            return;
        }
    }
}
