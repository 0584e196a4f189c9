use proptest::prelude::*;

use super::*;
use crate::field::Known;
use crate::h1::protocol::Protocol;

fn request(input: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let mut head = RequestHead::default();
    let read = head.read(input, &mut Scan::default(), &Limits::default())?;
    Ok(read.map(|len| (head, len)))
}

fn response(input: &[u8]) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    let mut head = ResponseHead::default();
    let read = head.read(input, &mut Scan::default(), &Limits::default())?;
    Ok(read.map(|len| (head, len)))
}

#[test]
fn a_request_head_is_read_with_its_length_and_the_body_left_alone() {
    let input = b"\r\nPOST /a?b=c HTTP/1.1\r\nHost: x\r\nEmpty:\r\nX-Odd:\t v\xe9 w \t\r\nContent-Length: 2\r\n\r\nhi";
    let (head, len) = request(input).unwrap().unwrap();
    assert_eq!(&input[len..], b"hi");
    assert_eq!(
        (head.method, head.method_text(), head.target()),
        (Method::Post, "POST", "/a?b=c")
    );
    assert_eq!(head.version, Version::Http11);
    let fields: Vec<_> = head.fields.iter().collect();
    assert_eq!(
        fields,
        [
            (Known::Host, &b"Host"[..], &b"x"[..]),
            (Known::Other, b"Empty", b""),
            (Known::Other, b"X-Odd", b"v\xe9 w"),
            (Known::ContentLength, b"Content-Length", b"2"),
        ]
    );
}

#[test]
fn a_response_head_may_lack_its_reason() {
    for (line, status, reason) in [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.0 404 Not Found", 404, "Not Found"),
        ("HTTP/1.1 204 ", 204, ""),
        ("HTTP/1.1 999", 999, ""),
    ] {
        let (head, _) = response(format!("{line}\r\nA: b\r\n\r\n").as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(
            (head.status, head.reason()),
            (status, reason.as_bytes()),
            "{line}"
        );
        assert_eq!(head.fields.len(), 1);
    }
}

#[test]
fn one_head_serves_many_messages_and_the_scan_starts_over_by_itself() {
    let input = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /22 HTTP/1.0\r\n\r\n";
    let (mut head, mut scan, limits) = (RequestHead::default(), Scan::default(), Limits::default());
    let first = head.read(input, &mut scan, &limits).unwrap().unwrap();
    assert_eq!((head.target(), head.fields.len()), ("/1", 1));
    let second = head.read(&input[first..], &mut scan, &limits).unwrap().unwrap();
    assert_eq!(
        (head.target(), head.method, head.fields.len()),
        ("/22", Method::Head, 0)
    );
    assert_eq!(first + second, input.len());
}

#[test]
fn method_and_target_can_be_replaced() {
    let (mut head, _) = request(b"DELETE /x HTTP/1.1\r\n\r\n").unwrap().unwrap();
    assert!(head.is_idempotent());
    head.set_target("/longer/than/before?q");
    head.set_method("POST");
    assert_eq!(
        (head.method_text(), head.target(), head.method),
        ("POST", "/longer/than/before?q", Method::Post)
    );
    assert!(!head.is_idempotent());
    head.set_target("*");
    head.set_method("OPTIONS");
    assert_eq!((head.method_text(), head.target()), ("OPTIONS", "*"));
}

#[test]
fn a_local_reply_begins_empty() {
    let (mut head, _) = response(b"HTTP/1.0 500 Oops\r\nA: b\r\n\r\n").unwrap().unwrap();
    head.start(503, standard_reason(503));
    assert_eq!(
        (head.status, head.version, head.fields.len()),
        (503, Version::Http11, 0)
    );
    assert_eq!(head.reason(), b"Service Unavailable");
}

#[test]
fn each_limit_is_exact_and_has_its_own_error() {
    let head_of = |bytes: usize| {
        let mut head = b"GET / HTTP/1.1\r\nA: ".to_vec();
        head.resize(bytes - 4, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        head
    };
    let limits = Limits {
        head_bytes: 100,
        fields: 3,
        request_line: 20,
        ..Limits::default()
    };
    let read = |input: &[u8]| RequestHead::default().read(input, &mut Scan::default(), &limits);
    assert_eq!(read(&head_of(100)), Ok(Some(100)));
    assert_eq!(read(&head_of(101)), Err(HeadError::TooLarge));
    assert_eq!(read(&head_of(101)[..99]), Ok(None));
    assert_eq!(
        read(&head_of(101)[..100]),
        Err(HeadError::TooLarge),
        "it can no longer end in time"
    );
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count)).into_bytes();
    assert!(matches!(read(&fields(3)), Ok(Some(_))));
    assert_eq!(read(&fields(4)), Err(HeadError::TooManyFields));
    assert_eq!(
        read(b"GET /2345678 HTTP/1.1\r\n"),
        Err(HeadError::RequestLineTooLong)
    );
    assert_eq!(
        read(b"GET /23456789012345678"),
        Err(HeadError::RequestLineTooLong),
        "before its end"
    );
    assert_eq!(read(b"GET /234567 HTTP/1.1\r\n"), Ok(None));
    assert_eq!(read(b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Ok(Some(26)));
    assert_eq!(read(b"\r\n\r\n\r\n\r\n\r\n"), Err(HeadError::TooManyEmptyLines));
}

#[test]
fn what_came_before_an_error_stays_readable_for_the_log() {
    let mut head = RequestHead::default();
    let input = b"GET /log HTTP/1.1\r\nUser-Agent: me\r\nbad name: x\r\n\r\n";
    assert_eq!(
        head.read(input, &mut Scan::default(), &Limits::default()),
        Err(HeadError::WhiteSpaceBeforeColon)
    );
    assert_eq!(
        (head.target(), head.fields.get(Known::UserAgent)),
        ("/log", Some(&b"me"[..]))
    );
}

#[test]
fn another_protocol_is_named_for_what_it_is() {
    let named = |bytes: &[u8]| response(bytes).unwrap_err();
    assert_eq!(
        named(b"\x15\x03\x01\x00\x02\x02\x46"),
        HeadError::NotHttp(Protocol::Tls)
    );
    assert_eq!(
        named(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00"),
        HeadError::NotHttp(Protocol::Http2)
    );
    assert_eq!(named(b"SSH-2.0-x\r\n"), HeadError::NotHttp(Protocol::Ssh));
    assert_eq!(named(b"hello world"), HeadError::NotHttp(Protocol::Unknown));
    assert_eq!(
        named(b"HTTPS/1.1 200 OK\r\n\r\n"),
        HeadError::NotHttp(Protocol::Unknown)
    );
    assert_eq!(named(b"\r\nHTTP/1.1 200 OK\r\n\r\n"), HeadError::BadStatusLine);
    assert_eq!(
        request(b"\x16\x03\x01\x02\x00\x01\x00").unwrap_err(),
        HeadError::NotHttp(Protocol::Tls)
    );
    assert_eq!(request(b"\x16\x03").unwrap().map(|(_, len)| len), None);
    assert_eq!(request(b"\x00").unwrap_err(), HeadError::InvalidMethod);
}

/// What reading prefix after prefix gives: the first verdict that is not "more".
fn trickled<T>(
    input: &[u8],
    cuts: &[usize],
    mut read: impl FnMut(&[u8]) -> Result<Option<usize>, T>,
) -> Result<Option<usize>, T> {
    let mut ends: Vec<_> = cuts
        .iter()
        .map(|cut| cut % (input.len() + 1))
        .chain([input.len()])
        .collect();
    ends.sort_unstable();
    for end in ends {
        let verdict = read(&input[..end])?;
        if verdict.is_some() {
            return Ok(verdict);
        }
    }
    Ok(None)
}

fn assert_splits_do_not_matter(input: &[u8], cuts: &[usize], limits: &Limits) {
    let (mut whole, mut pieces) = (RequestHead::default(), RequestHead::default());
    let mut scan = Scan::default();
    let expected = whole.read(input, &mut Scan::default(), limits);
    assert_eq!(
        trickled(input, cuts, |input| pieces.read(input, &mut scan, limits)),
        expected
    );
    assert_eq!(
        (whole.method_text(), whole.target()),
        (pieces.method_text(), pieces.target())
    );
    assert!(whole.fields.iter().eq(pieces.fields.iter()));
    let (mut whole, mut pieces) = (ResponseHead::default(), ResponseHead::default());
    let mut scan = Scan::default();
    let expected = whole.read(input, &mut Scan::default(), limits);
    assert_eq!(
        trickled(input, cuts, |input| pieces.read(input, &mut scan, limits)),
        expected
    );
    assert_eq!((whole.status, whole.reason()), (pieces.status, pieces.reason()));
    assert!(whole.fields.iter().eq(pieces.fields.iter()));
}

/// Bytes that are nearly a head: pieces of heads in any order, a few odd bytes among them.
fn almost_a_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            &b"GET / HTTP/1.1\r\n"[..], b"HTTP/1.1 200 OK\r\n", b"Host: a\r\n", b"A:b\r\n", b"\r\n", b"\r\n",
            b"GET", b" ", b"/", b"HTTP/1.1", b":", b"\r", b"\n", b"\t", b"Content-Length: 10\r\n", b"POST /x?y HTTP/1.0\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn how_the_bytes_arrive_does_not_matter(
        input in almost_a_head(),
        cuts in prop::collection::vec(any::<prop::sample::Index>().prop_map(|i| i.index(400)), 0..20),
    ) {
        let small = Limits { head_bytes: 48, fields: 2, request_line: 18, ..Limits::default() };
        let each: Vec<usize> = (0..input.len()).collect();
        for limits in [Limits::default(), small] {
            assert_splits_do_not_matter(&input, &cuts, &limits);
            assert_splits_do_not_matter(&input, &each, &limits);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        method in "[A-Z!#$]{1,9}",
        target in "/[!-\"$-~]{0,40}",
        fields in prop::collection::vec(("[a-zA-Z0-9_-]{1,20}", "([!-~]([ -~]{0,30}[!-~])?)?"), 0..20),
        spaces in prop::collection::vec("[ \t]{0,3}", 40),
    ) {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (at, (name, value)) in fields.iter().enumerate() {
            text += &format!("{name}:{}{value}{}\r\n", spaces[2 * at], spaces[2 * at + 1]);
        }
        text += "\r\n";
        let (head, len) = request(text.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(len, text.len());
        prop_assert_eq!((head.method_text(), head.target()), (method.as_str(), target.as_str()));
        let read: Vec<_> = head.fields.iter().map(|(_, name, value)| (name, value)).collect();
        let written: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        prop_assert_eq!(read, written);
    }
}
