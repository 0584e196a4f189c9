//! A corpus of messages that two parsers could read differently, or that no honest peer sends: each
//! is refused, with the reason given here. The messages after it in the same bytes, which a careless
//! recipient would take for requests of their own, are never reached.

use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, Part};
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::{Limits, Method, RequestHead, ResponseHead, Scan};
use wire::path::Target;
use wire::{hop, host};

/// Everything that is asked of a request before and while it is forwarded; the first error's name.
fn request_verdict(bytes: &[u8]) -> Result<(), String> {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let len = head
        .read(bytes, &mut Scan::default(), &limits)
        .map_err(named)?
        .ok_or("Incomplete")?;
    let target = Target::of(&head).map_err(named)?;
    host::request_host(&head, &target).map_err(named)?;
    hop::check_connection(&head.fields).map_err(named)?;
    hop::expects_continue(&head).map_err(named)?;
    hop::max_forwards(&head).map_err(named)?;
    body_verdict(framing::request_body(&head).map_err(named)?, &bytes[len..])
}

/// The same for a response to a GET.
fn response_verdict(bytes: &[u8]) -> Result<(), String> {
    let mut head = ResponseHead::default();
    let len = head
        .read(bytes, &mut Scan::default(), &Limits::default())
        .map_err(named)?
        .ok_or("Incomplete")?;
    hop::check_connection(&head.fields).map_err(named)?;
    body_verdict(
        framing::response_body(&head, Method::Get).map_err(named)?,
        &bytes[len..],
    )
}

fn body_verdict(length: BodyLength, mut bytes: &[u8]) -> Result<(), String> {
    let (mut decoder, mut trailers) = (BodyDecoder::new(length), Fields::default());
    loop {
        let step = decoder
            .decode(bytes, &Limits::default(), &mut trailers)
            .map_err(named)?;
        bytes = &bytes[step.consumed..];
        match step.part {
            Part::Data(_) => {}
            Part::NeedMore => return decoder.finish_at_eof().map_err(named),
            Part::End if bytes.is_empty() => return Ok(()),
            // Of a response this is what must never meet the next request on the connection.
            Part::End => return Err("Surplus".to_owned()),
        }
    }
}

fn named(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// Request lines and fields, each followed by what makes it a whole head.
const REQUEST_HEADS: &[(&str, &str)] = &[
    // Line ends.
    ("GET / HTTP/1.1\nHost: a", "BareLf"),
    ("GET / HTTP/1.1\r\nHost: a\nX: b", "BareLf"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\nX: b", "BareLf"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c", "BareCr"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\nY: c", "BareCr"),
    ("GET /\rx HTTP/1.1\r\nHost: a", "BareCr"),
    ("GET / HTTP/1.1\r\r\nHost: a", "BareCr"),
    ("\nGET / HTTP/1.1\r\nHost: a", "BareLf"),
    (
        "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a",
        "TooManyEmptyLines",
    ),
    // Field names.
    ("GET / HTTP/1.1\r\nHost : a", "WhiteSpaceBeforeColon"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5",
        "WhiteSpaceBeforeColon",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer Encoding: chunked",
        "WhiteSpaceBeforeColon",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b", "EmptyName"),
    ("GET / HTTP/1.1\r\nHost: a\r\nnonsense", "MissingColon"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\0: chunked",
        "InvalidName",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\n\u{b}Transfer-Encoding: chunked",
        "InvalidName",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\u{e9}: 5",
        "InvalidName",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\n\"X\": b", "InvalidName"),
    ("GET / HTTP/1.1\r\nHost: a\r\n(X): b", "InvalidName"),
    // Folding.
    ("GET / HTTP/1.1\r\n Host: a", "ObsFold"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked",
        "ObsFold",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc", "ObsFold"),
    // Field values.
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c", "InvalidValue"),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\u{b}",
        "InvalidValue",
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}", "InvalidValue"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{1b}[2J", "InvalidValue"),
    // Request lines.
    ("GET  / HTTP/1.1\r\nHost: a", "BadRequestLine"),
    ("GET /  HTTP/1.1\r\nHost: a", "BadRequestLine"),
    ("GET / HTTP/1.1 \r\nHost: a", "BadRequestLine"),
    ("GET / /x HTTP/1.1\r\nHost: a", "BadRequestLine"),
    ("GET\t/ HTTP/1.1\r\nHost: a", "InvalidMethod"),
    (" GET / HTTP/1.1\r\nHost: a", "InvalidMethod"),
    ("G\"T / HTTP/1.1\r\nHost: a", "InvalidMethod"),
    ("GET /\tx HTTP/1.1\r\nHost: a", "InvalidTarget"),
    ("GET /#x HTTP/1.1\r\nHost: a", "InvalidTarget"),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a", "InvalidTarget"),
    ("GET /\0 HTTP/1.1\r\nHost: a", "InvalidTarget"),
    ("GET", "BadRequestLine"),
    ("GET /", "Http09"),
    ("GET / HTTP/2.1\r\nHost: a", "UnsupportedVersion"),
    ("GET / HTTP/2.0\r\nHost: a", "UnsupportedVersion"),
    ("GET / HTTP/0.9\r\nHost: a", "UnsupportedVersion"),
    ("GET / http/1.1\r\nHost: a", "BadVersion"),
    ("GET / HTTP/1.10\r\nHost: a", "BadVersion"),
    ("GET / HTTP/1,1\r\nHost: a", "BadVersion"),
    ("PRI * HTTP/2.0", "Http2Preface"),
    // Targets.
    ("GET * HTTP/1.1\r\nHost: a", "BadForm"),
    ("GET a/b HTTP/1.1\r\nHost: a", "BadForm"),
    ("GET http://a@b/ HTTP/1.1\r\nHost: b", "BadAuthority"),
    ("GET http://a:x/ HTTP/1.1\r\nHost: a", "BadAuthority"),
    ("GET file:///etc HTTP/1.1\r\nHost: a", "BadScheme"),
    ("CONNECT / HTTP/1.1\r\nHost: a", "BadAuthority"),
    ("GET /a%00 HTTP/1.1\r\nHost: a", "Nul"),
    ("GET /a%2 HTTP/1.1\r\nHost: a", "BadEscape"),
    ("GET /..\\x HTTP/1.1\r\nHost: a", "Backslash"),
    // Hosts.
    ("GET / HTTP/1.1\r\nX: b", "Missing"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b", "Several"),
    ("GET / HTTP/1.1\r\nHost: a\r\nhost: a", "Several"),
    ("GET / HTTP/1.1\r\nHost: a, b", "Malformed"),
    ("GET / HTTP/1.1\r\nHost: a/b", "Malformed"),
    ("GET / HTTP/1.1\r\nHost: a@b", "Malformed"),
    ("GET / HTTP/1.1\r\nHost:", "Malformed"),
    // What is asked of this hop.
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length",
        "ProtectedField",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For",
        "ProtectedField",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X\u{88}",
        "BadOption",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok",
        "UnknownExpectation",
    ),
    ("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x", "BadMaxForwards"),
];

/// Framing fields of a POST, which are refused in whatever direction they are sent.
const FRAMING: &[(&str, &str)] = &[
    (
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "LengthAndTransferEncoding",
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "LengthAndTransferEncoding",
    ),
    (
        "Transfer-Encoding: identity\r\nContent-Length: 6",
        "LengthAndTransferEncoding",
    ),
    ("Content-Length: 6\r\nContent-Length: 6", "SeveralLengths"),
    ("Content-Length: 6\r\nContent-Length: 7", "SeveralLengths"),
    ("Content-Length: 6, 6", "SeveralLengths"),
    ("Content-Length: 6,", "SeveralLengths"),
    ("Content-Length: +6", "BadLength"),
    ("Content-Length: -6", "BadLength"),
    ("Content-Length: 6.0", "BadLength"),
    ("Content-Length: 0x6", "BadLength"),
    ("Content-Length: 6 6", "BadLength"),
    ("Content-Length: \"6\"", "BadLength"),
    ("Content-Length: 1_0", "BadLength"),
    ("Content-Length:", "BadLength"),
    ("Content-Length: 18446744073709551622", "LengthTooLarge"),
    ("Transfer-Encoding: xchunked", "BadTransferEncoding"),
    ("Transfer-Encoding: chunked, identity", "BadTransferEncoding"),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "BadTransferEncoding",
    ),
    ("Transfer-Encoding: chunked, chunked", "BadTransferEncoding"),
    ("Transfer-Encoding: 'chunked'", "BadTransferEncoding"),
    ("Transfer-Encoding: chunked;q=1", "BadTransferEncoding"),
    ("Transfer-Encoding: ,chunked", "BadTransferEncoding"),
    ("Transfer-Encoding: ", "BadTransferEncoding"),
];

/// Chunked bodies, refused in whatever direction they are sent.
const BODIES: &[(&str, &str)] = &[
    ("5\nhello\r\n0\r\n\r\n", "BareLf"),
    ("5;\nhello\r\n0\r\n\r\n", "BareLf"),
    ("5;x\nhello\r\n0\r\n\r\n", "BareLf"),
    ("5 \r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("5 ;x\r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("+5\r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("-5\r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("0x5\r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("5_0\r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("\r\n5\r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("100000000000000005\r\nhello\r\n0\r\n\r\n", "BadChunkSize"),
    ("fffffffffffffffb\r\nhello", "ChunkTooLarge"),
    ("5;\r\nhello\r\n0\r\n\r\n", "BadExtension"),
    ("5;a\0\r\nhello\r\n0\r\n\r\n", "BadExtension"),
    ("5\r\nhello0\r\n\r\n", "BadChunkEnd"),
    ("5\r\nhello\n0\r\n\r\n", "BadChunkEnd"),
    ("5\r\nhelloXX0\r\n\r\n", "BadChunkEnd"),
    ("0\r\n\n", "Trailer(BareLf)"),
    ("0\r\nX: a\nY: b\r\n\r\n", "Trailer(BareLf)"),
    ("0\r\nX : a\r\n\r\n", "Trailer(WhiteSpaceBeforeColon)"),
    ("0\r\nContent-Length: 5\r\n\r\n", "ForbiddenTrailer"),
    ("5\r\nhel", "Premature"),
];

/// Whole responses of endpoints.
const RESPONSES: &[(&str, &str)] = &[
    ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "BareLf"),
    ("HTTP/1.1  200 OK\r\n\r\n", "BadStatusLine"),
    ("HTTP/1.1 20 OK\r\n\r\n", "BadStatusLine"),
    ("HTTP/1.1 2000 OK\r\n\r\n", "BadStatusLine"),
    ("HTTP/1.1 +20 OK\r\n\r\n", "BadStatusLine"),
    ("HTTP/1.1 099 OK\r\n\r\n", "StatusOutOfRange"),
    ("HTTP/1.1 200 O\0K\r\n\r\n", "InvalidValue"),
    ("HTTP/1.1 200 OK\rX: y\r\n\r\n", "BareCr"),
    ("HTTP/2 200 OK\r\n\r\n", "BadVersion"),
    ("HTTP/3.0 200 OK\r\n\r\n", "UnsupportedVersion"),
    ("ICY 200 OK\r\n\r\n", "NotHttp(Unknown)"),
    (
        "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "TransferEncodingNotAllowed",
    ),
    ("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\nhello", "Surplus"),
    (
        "HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 x\r\n\r\n",
        "Surplus",
    ),
];

#[test]
fn every_malformed_request_is_refused_for_the_reason_given() {
    for (head, reason) in REQUEST_HEADS {
        let bytes = format!("{head}\r\n\r\n");
        assert_eq!(
            request_verdict(bytes.as_bytes()),
            Err((*reason).to_owned()),
            "{}",
            head.escape_default()
        );
    }
}

#[test]
fn ambiguous_framing_is_refused_in_both_directions() {
    let smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fields, reason) in FRAMING {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{smuggled}");
        assert_eq!(
            request_verdict(request.as_bytes()),
            Err((*reason).to_owned()),
            "{fields}"
        );
        let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{smuggled}");
        assert_eq!(
            response_verdict(response.as_bytes()),
            Err((*reason).to_owned()),
            "{fields}"
        );
    }
    let (te, old) = (
        "Transfer-Encoding: chunked",
        "TransferEncodingInHttp10".to_owned(),
    );
    assert_eq!(
        request_verdict(format!("POST / HTTP/1.0\r\n{te}\r\n\r\n{smuggled}").as_bytes()),
        Err(old.clone())
    );
    assert_eq!(
        response_verdict(format!("HTTP/1.0 200 OK\r\n{te}\r\n\r\n{smuggled}").as_bytes()),
        Err(old)
    );
}

#[test]
fn malformed_chunks_are_refused_in_both_directions() {
    for (body, reason) in BODIES {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(
            request_verdict(request.as_bytes()),
            Err((*reason).to_owned()),
            "{}",
            body.escape_default()
        );
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(
            response_verdict(response.as_bytes()),
            Err((*reason).to_owned()),
            "{}",
            body.escape_default()
        );
    }
}

#[test]
fn malformed_and_overlong_responses_are_refused() {
    for (response, reason) in RESPONSES {
        assert_eq!(
            response_verdict(response.as_bytes()),
            Err((*reason).to_owned()),
            "{}",
            response.escape_default()
        );
    }
}

#[test]
fn honest_messages_pass() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /old HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
    ] {
        assert_eq!(request_verdict(request.as_bytes()), Ok(()), "{request}");
    }
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200\r\n\r\nuntil the end",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        assert_eq!(response_verdict(response.as_bytes()), Ok(()), "{response}");
    }
}
