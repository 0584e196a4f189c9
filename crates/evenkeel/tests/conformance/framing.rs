//! Smuggling: whatever two parsers could read differently is refused and closed, and not one byte
//! of it reaches an upstream.

use std::time::Duration;

use crate::harness::{End, Gateway, Peer, Upstream};

/// A request that must be refused: what is wrong, its bytes, the statuses that say so.
type Case<'a> = (&'a str, &'a str, &'a [u16]);

const BAD: &[u16] = &[400];

/// Sends each on a connection of its own, with an innocent request right behind it: that must not
/// get through either.
#[track_caller]
fn all_are_refused(cases: &[Case<'_>]) {
    let upstream = Upstream::counting();
    let gateway = Gateway::before(&upstream);
    for (what, request, statuses) in cases {
        let mut client = gateway.connect();
        client.try_send(request);
        client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert!(statuses.contains(&response.status()), "{what}: {response:?}");
        assert!(
            response.connection_says("close"),
            "{what}: the refusal must announce the close: {response:?}"
        );
        assert!(client.rest().is_empty(), "{what}: nothing may follow the refusal");
        assert_ne!(
            client.end_within(Duration::from_secs(1)),
            End::Open,
            "{what}: the connection must end"
        );
        assert_eq!(upstream.bytes(), 0, "{what}: a byte of it reached the upstream");
    }
    assert_eq!(
        upstream.connections(),
        0,
        "no refused request may even open a connection"
    );
}

#[test]
fn two_opinions_on_a_bodys_length_are_refused() {
    all_are_refused(&[
        (
            "CL and TE",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        (
            "TE and CL",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        (
            "two different CL",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
            BAD,
        ),
        (
            "two equal CL",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            BAD,
        ),
        (
            "a CL list",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
            BAD,
        ),
        (
            "a CL list that differs",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 5\r\n\r\nabcde",
            BAD,
        ),
        (
            "CL in two cases",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            BAD,
        ),
        (
            "TE twice",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        (
            "chunked twice in a list",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        (
            "TE in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            BAD,
        ),
        (
            "chunked is not last",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
    ]);
}

#[test]
fn a_content_length_that_is_no_plain_number_is_refused() {
    all_are_refused(&[
        (
            "plus sign",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
            BAD,
        ),
        (
            "minus sign",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc",
            BAD,
        ),
        (
            "minus zero",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n",
            BAD,
        ),
        (
            "hexadecimal",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
            BAD,
        ),
        (
            "empty",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            BAD,
        ),
        (
            "inner space",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 3\r\n\r\nabc",
            BAD,
        ),
        (
            "trailing comma",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3,\r\n\r\nabc",
            BAD,
        ),
        (
            "fraction",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\nabc",
            BAD,
        ),
        (
            "exponent",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3e0\r\n\r\nabc",
            BAD,
        ),
        (
            "underscore",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\nabcdefghij",
            BAD,
        ),
        (
            "beyond 64 bits",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
            &[400, 413],
        ),
        (
            "wraps to 3",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc",
            &[400, 413],
        ),
        (
            "quoted",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \"3\"\r\n\r\nabc",
            BAD,
        ),
        (
            "vertical tab before",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \x0b3\r\n\r\nabc",
            BAD,
        ),
        (
            "letters",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: three\r\n\r\nabc",
            BAD,
        ),
    ]);
}

#[test]
fn a_transfer_encoding_that_is_not_chunked_alone_is_refused() {
    const UNKNOWN: &[u16] = &[400, 501];
    all_are_refused(&[
        (
            "unknown coding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "identity",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            UNKNOWN,
        ),
        (
            "gzip, chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "empty",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "a parameter",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "quoted",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "vertical tab before",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "trailing comma",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "leading comma",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
        (
            "split in two fields",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            UNKNOWN,
        ),
    ]);
}

#[test]
fn a_field_line_that_is_not_name_colon_value_is_refused() {
    all_are_refused(&[
        (
            "space before the colon",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n",
            BAD,
        ),
        (
            "tab before the colon",
            "GET / HTTP/1.1\r\nHost: a\r\nX-A\t: b\r\n\r\n",
            BAD,
        ),
        (
            "folded line",
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
            BAD,
        ),
        (
            "folded with a tab",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n",
            BAD,
        ),
        (
            "space before the first field",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            BAD,
        ),
        ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n", BAD),
        ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", BAD),
        (
            "space in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n",
            BAD,
        ),
        (
            "brace in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nX{A}: b\r\n\r\n",
            BAD,
        ),
        (
            "control in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nX\x01A: b\r\n\r\n",
            BAD,
        ),
        (
            "DEL in a name",
            "GET / HTTP/1.1\r\nHost: a\r\nX\x7fA: b\r\n\r\n",
            BAD,
        ),
        (
            "non-ASCII name",
            "GET / HTTP/1.1\r\nHost: a\r\nX-é: b\r\n\r\n",
            BAD,
        ),
        (
            "NUL in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
            BAD,
        ),
        (
            "bare CR in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n",
            BAD,
        ),
        (
            "control in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x07c\r\n\r\n",
            BAD,
        ),
        (
            "bare LF ends a field",
            "GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
            BAD,
        ),
        ("bare LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", BAD),
        ("bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", BAD),
        ("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", BAD),
    ]);
}

#[test]
fn a_request_line_that_is_not_three_words_is_refused() {
    const VERSION: &[u16] = &[400, 505];
    all_are_refused(&[
        (
            "two spaces after the method",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            BAD,
        ),
        (
            "two spaces before the version",
            "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            BAD,
        ),
        ("tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", VERSION),
        ("space at the start", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        (
            "a space in the target",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            VERSION,
        ),
        ("no version", "GET /\r\nHost: a\r\n\r\n", VERSION),
        ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", VERSION),
        ("lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", VERSION),
        (
            "version without a dot",
            "GET / HTTP/11\r\nHost: a\r\n\r\n",
            VERSION,
        ),
        (
            "version with more digits",
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            VERSION,
        ),
        ("version 0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", VERSION),
        ("version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", VERSION),
        ("version 3", "GET / HTTP/3\r\nHost: a\r\n\r\n", VERSION),
        (
            "method with a colon",
            "GE:T / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400, 501],
        ),
        (
            "method with a brace",
            "G{E}T / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400, 501],
        ),
        ("garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\r\n\r\n", BAD),
        (
            "HTTP/2 without asking",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            VERSION,
        ),
    ]);
}

#[test]
fn a_target_that_is_none_is_refused() {
    all_are_refused(&[
        ("no slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("a control", "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("DEL", "GET /a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("raw non-ASCII", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("an encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("a broken escape", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        (
            "an escape that is no number",
            "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
            BAD,
        ),
        ("a backslash", "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("* for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        (
            "absolute without a host",
            "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n",
            BAD,
        ),
        (
            "user information",
            "GET http://me@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            BAD,
        ),
        (
            "CONNECT",
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            &[400, 403, 405, 501],
        ),
    ]);
}

#[test]
fn a_host_that_is_missing_double_or_malformed_is_refused() {
    all_are_refused(&[
        ("missing", "GET / HTTP/1.1\r\n\r\n", BAD),
        (
            "missing with an absolute target",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            BAD,
        ),
        ("twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
        (
            "twice the same",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            BAD,
        ),
        ("a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", BAD),
        ("a space inside", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
        ("a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
        ("user information", "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n", BAD),
        (
            "a port that is no number",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            BAD,
        ),
        (
            "a port beyond 65535",
            "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
            BAD,
        ),
        ("an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", BAD),
        ("a fragment", "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", BAD),
        ("a query", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", BAD),
    ]);
}

#[test]
fn what_is_too_long_is_refused_by_its_name() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20 * 1024));
    let long_field = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n",
        "a".repeat(70 * 1024)
    );
    let long_name = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}: b\r\n\r\n",
        "a".repeat(70 * 1024)
    );
    let many_fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(101));
    let endless_line = "G".repeat(70 * 1024);
    all_are_refused(&[
        ("target", &long_target, &[414]),
        ("field value", &long_field, &[431]),
        ("field name", &long_name, &[431]),
        ("number of fields", &many_fields, &[431]),
        (
            "a first line without an end",
            &endless_line,
            &[400, 414, 431, 501],
        ),
    ]);
}

/// A chunked body goes upstream as it comes, so its head may have left when it turns out to be
/// malformed. What must hold: the client is told and closed, and the upstream never sees an end.
#[test]
fn a_malformed_chunk_ends_both_sides_and_completes_nothing() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let bytes = peer.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("\r\n0\r\n"),
            "a malformed body was completed: {text}"
        );
        assert!(
            !text.contains("smuggled"),
            "what stood behind a malformed chunk came through: {text}"
        );
    });
    let gateway = Gateway::before(&upstream);
    let long_extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(64 * 1024));
    let long_trailer = format!("0\r\nX-A: {}\r\n\r\n", "a".repeat(128 * 1024));
    let cases: &[(&str, &str)] = &[
        ("no hexadecimal", "g\r\na\r\n0\r\n\r\n"),
        ("0x prefix", "0x1\r\na\r\n0\r\n\r\n"),
        ("plus sign", "+1\r\na\r\n0\r\n\r\n"),
        ("minus sign", "-1\r\na\r\n0\r\n\r\n"),
        ("empty size", "\r\na\r\n0\r\n\r\n"),
        ("leading space", " 1\r\na\r\n0\r\n\r\n"),
        ("beyond 64 bits", "10000000000000001\r\na\r\n0\r\n\r\n"),
        ("underscore", "1_0\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n"),
        ("data longer than its size", "1\r\nab\r\n0\r\n\r\n"),
        ("no CRLF behind data", "1\r\na0\r\n\r\n"),
        ("bare LF behind a size", "1\na\r\n0\r\n\r\n"),
        ("bare LF behind data", "1\r\na\n0\r\n\r\n"),
        ("bare CR in an extension", "1;a\rb\r\na\r\n0\r\n\r\n"),
        ("bare LF in an extension", "1;a\nb\r\na\r\n0\r\n\r\n"),
        ("NUL in an extension", "1;a\0b\r\na\r\n0\r\n\r\n"),
        ("an endless extension", &long_extension),
        ("a folded trailer", "0\r\nX-A: b\r\n c\r\n\r\n"),
        ("a trailer without a colon", "0\r\nX-A\r\n\r\n"),
        ("a bare LF behind a trailer", "0\r\nX-A: b\n\r\n"),
        ("an endless trailer", &long_trailer),
    ];
    for (what, chunks) in cases {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.try_send(chunks);
        client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert!(
            matches!(response.status(), 400 | 413 | 431),
            "{what}: {response:?}"
        );
        assert!(response.connection_says("close"), "{what}: {response:?}");
        assert!(client.rest().is_empty(), "{what}: nothing may follow the refusal");
    }
}

#[test]
fn a_request_is_read_alike_however_it_is_cut_into_packets() {
    let upstream = Upstream::answering(|request| crate::harness::reply(&request.text()));
    let gateway = Gateway::before(&upstream);
    let request = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: u\r\n\r\n";
    for cut in (1..request.len()).step_by(7) {
        let mut client = gateway.connect();
        client.send(&request[..cut]);
        std::thread::sleep(Duration::from_millis(2));
        client.send(&request[cut..]);
        let response = client.response();
        assert_eq!(
            (response.status(), response.text().as_str()),
            (200, "abc"),
            "cut at {cut}"
        );
    }
}

#[test]
fn empty_lines_before_a_request_are_skipped_and_bodies_are_not_requests() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client: Peer = gateway.connect();
    client.send("\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert!(
        client.is_quiet_for(Duration::from_millis(100)),
        "a body was taken for a request"
    );
    let targets: Vec<String> = upstream
        .requests()
        .iter()
        .map(|request| request.target().to_owned())
        .collect();
    assert_eq!(targets, ["/1", "/2"]);
}
