//! Messages that RFC 9113, 8 calls malformed, and some that only HTTP/1 readers would understand differently: none is
//! ever told of as a message, and each ends its stream and no other.

use wire::h2::{Config, Connection, Event, PREFACE, Scratch, StreamError};
use wire::message::{RequestHead, Scheme};

type Row = (&'static str, &'static str);

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

/// Fields as they are, in no table.
fn block<'a>(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        for (text, first) in [(name, Some(0)), (value, None)] {
            out.extend(first);
            assert!(text.len() < 127);
            out.push(text.len() as u8);
            out.extend_from_slice(text);
        }
    }
    out
}

/// What a server makes of frames on stream 1, and what it tells.
fn served(frames: &[Vec<u8>], config: Config) -> (Vec<Event>, Vec<u8>) {
    let mut out = Vec::new();
    let mut connection = Connection::server(config, &mut out);
    let input = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frames.concat()].concat();
    out.clear();
    (told(&mut connection, &input, &mut out), out)
}

/// What a client makes of frames that answer a request of this method on stream 1.
fn answered(method: &str, frames: &[Vec<u8>]) -> (Vec<Event>, Vec<u8>) {
    let mut out = Vec::new();
    let mut connection = Connection::client(Config::default(), &mut out);
    let mut head = RequestHead::default();
    head.set_target(method, "a:1", if method == "CONNECT" { "" } else { "/" }, "");
    head.scheme = (method != "CONNECT").then_some(Scheme::Http);
    connection
        .send_request(&head, method != "CONNECT", &mut out)
        .expect("a connection that just began has room");
    let input = [frame(SETTINGS, 0, 0, &[]), frames.concat()].concat();
    out.clear();
    (told(&mut connection, &input, &mut out), out)
}

fn told(connection: &mut Connection, input: &[u8], out: &mut Vec<u8>) -> Vec<Event> {
    let (mut taken, mut scratch, mut events) = (0, Scratch::default(), Vec::new());
    loop {
        let step = connection
            .next(&input[taken..], &mut scratch, out)
            .expect("only the stream ends");
        events.extend(step.event.filter(|event| *event != Event::Settings));
        taken += step.taken;
        if step.taken == 0 {
            assert_eq!(taken, input.len());
            return events;
        }
    }
}

fn bytes(fields: &[Row]) -> Vec<u8> {
    block(
        fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    )
}

/// A usual request, but for what stands in place of a pseudo field, and with these fields.
fn request(instead: &[Row], more: &[Row]) -> Vec<Row> {
    let usual = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "a.example"),
        (":path", "/"),
    ];
    let pseudo = usual
        .iter()
        .map(|usual| *instead.iter().find(|row| row.0 == usual.0).unwrap_or(usual));
    pseudo
        .filter(|row| row.1 != "absent")
        .chain(more.iter().copied())
        .collect()
}

fn is_refused(what: &str, why: StreamError, (events, out): (Vec<Event>, Vec<u8>)) {
    let [Event::Broken { stream, why: said }] = &events[..] else {
        panic!("{what}: {events:?}");
    };
    assert_eq!((stream.number(), *said), (1, why), "{what}");
    let reset = frame(3, 0, 1, &why.code().0.to_be_bytes());
    assert!(
        out.windows(reset.len()).any(|frame| frame == reset),
        "{what}: {out:x?}"
    );
}

/// Requests that are wrong in their pseudo fields.
fn wrong_pseudo() -> Vec<(Vec<Row>, StreamError)> {
    use StreamError::*;
    let mut rows = Vec::new();
    for name in [":method", ":scheme", ":path", ":authority"] {
        rows.push((request(&[(name, "absent")], &[]), MissingPseudo));
    }
    for name in [":method", ":path", ":authority"] {
        rows.push((request(&[(name, "")], &[]), MissingPseudo));
    }
    for method in [
        "GET ",
        "G ET",
        "GET / HTTP/1.1",
        "GET\r\nHost: b",
        "G\0T",
        "GET:",
        "G(T",
        "\u{e9}",
    ] {
        rows.push((request(&[(":method", method)], &[]), InvalidMethod));
    }
    for scheme in [
        "",
        "ftp",
        "http ",
        "http://evil/",
        "https, http",
        "file",
        "httpss",
    ] {
        rows.push((request(&[(":scheme", scheme)], &[]), BadScheme));
    }
    for path in [
        "a",
        "*",
        "http://b/",
        "//b c",
        "/ HTTP/1.1",
        "/\r\nHost: b",
        "/\n",
        "/\0",
        "/\t",
        "/#f",
        "/\u{e9}",
        "/\u{7f}",
        "?a",
        "/a b",
        " /",
    ] {
        rows.push((request(&[(":path", path)], &[]), InvalidPath));
    }
    for authority in [
        "a/b", "a@b", "user@a", "a b", "a,b", "a:99999", "a:b", "a\r\nb", "a?b", "a#b", "a\\b", "a%2eb",
        "[::1", "..", "a..b", "a\0", "\u{e9}",
    ] {
        rows.push((request(&[(":authority", authority)], &[]), BadAuthority));
    }
    for name in [":method", ":scheme", ":path", ":authority"] {
        let again = request(&[], &[])
            .into_iter()
            .find(|row| row.0 == name)
            .expect("a usual one");
        rows.push((request(&[], &[again]), RepeatedPseudo));
    }
    for row in [
        (":status", "200"),
        (":", ""),
        (":host", "a"),
        (":Method", "GET"),
        (":protocol", "websocket"),
    ] {
        let why = UnknownPseudo;
        rows.push((request(&[], &[row]), why));
    }
    for row in [(":path", "/b"), (":status", "200"), (":unknown", "")] {
        rows.push((request(&[], &[("x", "y"), row]), PseudoBehindField));
    }
    // RFC 9113, 8.5.
    let connect =
        |authority, more: &[Row]| [&[(":method", "CONNECT"), (":authority", authority)], more].concat();
    rows.push((connect("a:1", &[(":path", "/")]), UnknownPseudo));
    rows.push((connect("a:1", &[(":scheme", "http")]), UnknownPseudo));
    rows.push((connect("a", &[]), BadAuthority));
    rows.push((connect("a:", &[]), BadAuthority));
    rows.push((vec![(":method", "CONNECT"), ("host", "a:1")], MissingPseudo));
    rows.push((connect("a:1", &[("content-length", "1")]), BodyNotAllowed));
    rows
}

/// Requests that are wrong in their fields.
fn wrong_fields() -> Vec<(Vec<Row>, StreamError)> {
    use StreamError::*;
    let mut rows = Vec::new();
    for row in [
        ("connection", "close"),
        ("connection", "x-forwarded-for"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", ""),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, chunked"),
        ("te", ""),
    ] {
        rows.push((request(&[], &[row]), ConnectionField));
    }
    for name in [
        "",
        "X",
        "x-Own",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "a b",
        "a:",
        "a\r\nb",
        "a\n",
        "a\0",
        "\u{e9}",
        "a ",
        " a",
        "a\tb",
        "a/b",
        "a(b",
        "host:",
        "content-length: 5\r\na",
    ] {
        rows.push((request(&[], &[(name, "v")]), InvalidName));
    }
    for value in [
        "a\r\nb: c",
        "a\nb",
        "a\rb",
        "a\0",
        "\0",
        " a",
        "a ",
        "\ta",
        "a\t",
        "\r\n\r\nGET / HTTP/1.1",
        "\u{7f}",
        "a\u{1}",
        " ",
    ] {
        rows.push((request(&[], &[("x", value)]), InvalidValue));
    }
    for lengths in [
        &["1", "1"][..],
        &["1", "2"],
        &["1, 1"],
        &["1,2"],
        &["+1"],
        &["-1"],
        &["0x1"],
        &["1.0"],
        &[""],
        &["one"],
        &["9223372036854775808"],
        &["99999999999999999999999999"],
        &["1 1"],
        &["1;"],
    ] {
        let fields: Vec<Row> = lengths.iter().map(|length| ("content-length", *length)).collect();
        rows.push((request(&[(":method", "POST")], &fields), BadLength));
    }
    for hosts in [
        &["b.example"][..],
        &["a.example:80"],
        &["a.example", "a.example"],
        &["a.example."],
        &["a.example/"],
    ] {
        let fields: Vec<Row> = hosts.iter().map(|host| ("host", *host)).collect();
        rows.push((request(&[], &fields), ConflictingHost));
    }
    rows.push((
        request(&[(":authority", "absent")], &[("host", "")]),
        MissingPseudo,
    ));
    rows.push((
        request(&[(":authority", "absent")], &[("host", "a/b")]),
        BadAuthority,
    ));
    rows.push((
        request(&[(":authority", "absent")], &[("host", "a"), ("host", "b")]),
        ConflictingHost,
    ));
    rows.push((
        request(&[(":method", "TRACE")], &[("content-length", "1")]),
        BodyNotAllowed,
    ));
    rows
}

#[test]
fn no_malformed_head_is_told_of_as_a_request() {
    let mut count = 0;
    for (fields, why) in wrong_pseudo().into_iter().chain(wrong_fields()) {
        // Without the end, so that a length alone is not what is wrong.
        let is_end = fields.iter().any(|row| row.1 == "TRACE");
        let flags = END_HEADERS | u8::from(is_end);
        let head = frame(HEADERS, flags, 1, &bytes(&fields));
        is_refused(&format!("{fields:?}"), why, served(&[head], Config::default()));
        count += 1;
    }
    assert!(count >= 120, "{count} malformed requests");
}

#[test]
fn a_protocol_is_asked_for_by_connect_alone_and_whole() {
    use StreamError::*;
    let config = Config {
        connect_protocol: true,
        ..Config::default()
    };
    let connect = |rows: &[Row]| [&[(":method", "CONNECT"), (":protocol", "websocket")], rows].concat();
    let rows = [
        (request(&[], &[(":protocol", "websocket")]), BadProtocol),
        (
            request(&[(":method", "CONNECT")], &[(":protocol", "")]),
            BadProtocol,
        ),
        (
            request(&[(":method", "CONNECT")], &[(":protocol", "a b")]),
            BadProtocol,
        ),
        (connect(&[(":authority", "a")]), MissingPseudo),
        (
            connect(&[(":authority", "a"), (":scheme", "http")]),
            MissingPseudo,
        ),
        (connect(&[(":authority", "a"), (":path", "/")]), MissingPseudo),
        (connect(&[(":scheme", "http"), (":path", "/")]), MissingPseudo),
        (
            connect(&[(":scheme", "http"), (":path", "/"), (":authority", "a/")]),
            BadAuthority,
        ),
    ];
    for (fields, why) in rows {
        let head = frame(HEADERS, END_HEADERS, 1, &bytes(&fields));
        is_refused(&format!("{fields:?}"), why, served(&[head], config));
    }
}

#[test]
fn no_message_is_told_of_as_whole_whose_content_or_trailers_are_wrong() {
    use StreamError::*;
    let post = |more: &[Row]| {
        frame(
            HEADERS,
            END_HEADERS,
            1,
            &bytes(&request(&[(":method", "POST")], more)),
        )
    };
    let data = |flags, text: &str| frame(DATA, flags, 1, text.as_bytes());
    let trailers = |flags, rows: &[Row]| frame(HEADERS, END_HEADERS | flags, 1, &bytes(rows));
    let three = ("content-length", "3");
    let cases = [
        (vec![post(&[three]), data(END_STREAM, "ab")], LengthMismatch),
        (vec![post(&[three]), data(0, "abcd")], LengthMismatch),
        (
            vec![post(&[three]), data(0, "ab"), data(END_STREAM, "cd")],
            LengthMismatch,
        ),
        (
            vec![post(&[three]), data(0, "ab"), trailers(END_STREAM, &[])],
            LengthMismatch,
        ),
        (vec![post(&[]), trailers(0, &[("x", "y")])], BadTrailers),
        (
            vec![post(&[]), trailers(END_STREAM, &[(":path", "/")])],
            BadTrailers,
        ),
        (
            vec![post(&[]), trailers(END_STREAM, &[(":status", "200")])],
            BadTrailers,
        ),
        (
            vec![post(&[]), trailers(END_STREAM, &[("content-length", "1")])],
            BadTrailers,
        ),
        (
            vec![post(&[]), trailers(END_STREAM, &[("host", "b")])],
            BadTrailers,
        ),
        (
            vec![
                post(&[]),
                trailers(END_STREAM, &[("transfer-encoding", "chunked")]),
            ],
            ConnectionField,
        ),
        (vec![post(&[]), trailers(END_STREAM, &[("X", "y")])], InvalidName),
        (
            vec![post(&[]), trailers(END_STREAM, &[("x", "y\r\n")])],
            InvalidValue,
        ),
        (vec![post(&[]), trailers(END_STREAM, &[]), data(0, "a")], AfterEnd),
        (
            vec![post(&[]), data(END_STREAM, ""), trailers(END_STREAM, &[])],
            AfterEnd,
        ),
        (
            vec![post(&[]), data(END_STREAM, "a"), data(END_STREAM, "")],
            AfterEnd,
        ),
    ];
    for (frames, why) in cases {
        let (mut events, out) = served(&frames, Config::default());
        // What was well-formed before it was told of.
        let broken = events.split_off(events.len() - 1);
        assert!(
            why == AfterEnd || !events.iter().any(is_end),
            "{why:?}: {events:?}"
        );
        is_refused(&format!("{why:?}"), why, (broken, out));
    }
    // A head that ends its message, though it says that content follows.
    let head = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &bytes(&request(&[], &[three])),
    );
    is_refused("no content", LengthMismatch, served(&[head], Config::default()));
}

fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::Data { end: true, .. }
            | Event::Trailers { .. }
            | Event::Request { end: true, .. }
            | Event::Response { end: true, .. }
    )
}

#[test]
fn no_malformed_response_is_told_of_as_one() {
    use StreamError::*;
    let mut cases: Vec<(&str, Vec<Vec<u8>>, StreamError)> = Vec::new();
    let head = |flags, rows: &[Row]| frame(HEADERS, END_HEADERS | flags, 1, &bytes(rows));
    let data = |flags, text: &str| frame(DATA, flags, 1, text.as_bytes());
    for status in [
        "", "20", "2000", "abc", "099", "000", "101", "+20", "20x", "2 0", "200 OK", "\u{e9}",
    ] {
        cases.push(("GET", vec![head(0, &[(":status", status)])], BadStatus));
    }
    cases.push(("GET", vec![head(0, &[])], MissingPseudo));
    cases.push(("GET", vec![head(0, &[("x", "y")])], MissingPseudo));
    for row in [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "a"),
        (":x", ""),
    ] {
        cases.push(("GET", vec![head(0, &[(":status", "200"), row])], UnknownPseudo));
    }
    let with = |row: Row| head(0, &[(":status", "200"), row]);
    cases.push(("GET", vec![with((":status", "200"))], RepeatedPseudo));
    cases.push((
        "GET",
        vec![head(0, &[("x", "y"), (":status", "200")])],
        PseudoBehindField,
    ));
    for row in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("keep-alive", ""),
    ] {
        cases.push(("GET", vec![with(row)], ConnectionField));
    }
    for name in ["X", "a b", "", "a\r\n", "\u{e9}"] {
        cases.push(("GET", vec![with((name, ""))], InvalidName));
    }
    for value in ["a\r\nset-cookie: b", "\0", " a", "a\n"] {
        cases.push(("GET", vec![with(("x", value))], InvalidValue));
    }
    for value in ["1, 1", "-1", "", "x"] {
        cases.push(("GET", vec![with(("content-length", value))], BadLength));
        cases.push(("HEAD", vec![with(("content-length", value))], BadLength));
    }
    let three = with(("content-length", "3"));
    cases.push(("GET", vec![three.clone(), data(END_STREAM, "ab")], LengthMismatch));
    cases.push(("GET", vec![three.clone(), data(0, "abcd")], LengthMismatch));
    cases.push(("GET", vec![three.clone(), head(END_STREAM, &[])], LengthMismatch));
    cases.push((
        "GET",
        vec![head(END_STREAM, &[(":status", "200"), ("content-length", "3")])],
        LengthMismatch,
    ));
    cases.push(("HEAD", vec![three, data(0, "a")], LengthMismatch));
    cases.push((
        "GET",
        vec![head(0, &[(":status", "204")]), data(0, "a")],
        LengthMismatch,
    ));
    cases.push((
        "GET",
        vec![
            head(0, &[(":status", "304"), ("content-length", "9")]),
            data(0, "a"),
        ],
        LengthMismatch,
    ));
    cases.push(("GET", vec![head(END_STREAM, &[(":status", "103")])], BadInterim));
    cases.push(("GET", vec![data(0, "a")], MissingHead));
    cases.push((
        "GET",
        vec![head(0, &[(":status", "103")]), data(END_STREAM, "")],
        MissingHead,
    ));
    cases.push((
        "GET",
        vec![head(0, &[(":status", "200")]), head(0, &[("x", "y")])],
        BadTrailers,
    ));
    cases.push((
        "GET",
        vec![
            head(0, &[(":status", "200")]),
            head(END_STREAM, &[(":status", "200")]),
        ],
        BadTrailers,
    ));
    cases.push((
        "GET",
        vec![head(END_STREAM, &[(":status", "200")]), head(END_STREAM, &[])],
        AfterEnd,
    ));
    cases.push((
        "CONNECT",
        vec![head(0, &[(":status", "200")]), head(END_STREAM, &[("x", "y")])],
        BadTrailers,
    ));
    let interims = vec![head(0, &[(":status", "100")]); 33];
    cases.push(("GET", interims, BadInterim));
    for (method, frames, why) in cases {
        let (mut events, out) = answered(method, &frames);
        let broken = events.split_off(events.len() - 1);
        assert!(
            why == AfterEnd || !events.iter().any(is_end),
            "{why:?}: {events:?}"
        );
        is_refused(&format!("{method} {why:?}"), why, (broken, out));
    }
}

#[test]
fn what_is_well_formed_is_taken() {
    let long = "x".repeat(100);
    let requests: &[Vec<Row>] = &[
        request(&[], &[]),
        request(
            &[],
            &[
                ("host", "A.EXAMPLE"),
                ("te", "trailers"),
                ("x", ""),
                ("y", &*long.leak()),
            ],
        ),
        request(&[(":authority", "absent")], &[("host", "b")]),
        request(&[(":method", "OPTIONS"), (":path", "*")], &[]),
        request(
            &[(":method", "QUERY"), (":path", "/%zz?a=//b?")],
            &[("cookie", "a=b"), ("cookie", "c=d")],
        ),
        vec![(":method", "CONNECT"), (":authority", "a:1")],
        request(&[], &[("x", "a\tb \u{e9}")]),
    ];
    for fields in requests {
        let head = frame(HEADERS, END_HEADERS, 1, &bytes(fields));
        let (events, _) = served(&[head], Config::default());
        assert!(
            matches!(events[..], [Event::Request { end: false, .. }]),
            "{fields:?}: {events:?}"
        );
    }
}

#[test]
fn a_head_above_a_limit_leaves_its_stream_for_an_answer_and_the_table_as_it_must_be() {
    let config = Config {
        fields: 3,
        head_bytes: 400,
        ..Config::default()
    };
    let many = request(&[], &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    let large = request(
        &[],
        &[(
            "a",
            "123456789012345678901234567890123456789012345678901234567890",
        ); 3],
    );
    for (fields, why) in [(many, StreamError::TooManyFields), (large, StreamError::TooLarge)] {
        // Behind the limit, an entry for the table that the next request names.
        let block = [bytes(&fields), vec![0x40, 1, b'n', 1, b'v']].concat();
        let next = [bytes(&request(&[], &[])), vec![0xbe]].concat();
        let frames = [
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &block),
            frame(HEADERS, END_HEADERS | END_STREAM, 3, &next),
        ];
        let (events, _) = served(&frames, config);
        let [Event::Broken { why: said, .. }, Event::Request { stream, .. }] = events[..] else {
            panic!("{events:?}");
        };
        assert_eq!((said, said.status(), stream.number()), (why, 431, 3));
    }
}
