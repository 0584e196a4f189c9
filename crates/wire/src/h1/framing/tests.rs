use super::*;
use crate::h1::head::{Limits, Scan};

fn of_request(head: &str) -> Result<BodyLength, FramingError> {
    let mut request = RequestHead::default();
    request
        .read(head.as_bytes(), &mut Scan::default(), &Limits::default())
        .unwrap()
        .unwrap();
    request_body(&request)
}

fn of_response(method: Method, head: &str) -> Result<BodyLength, FramingError> {
    let mut response = ResponseHead::default();
    response
        .read(head.as_bytes(), &mut Scan::default(), &Limits::default())
        .unwrap()
        .unwrap();
    response_body(&response, method)
}

fn post(fields: &str) -> Result<BodyLength, FramingError> {
    of_request(&format!("POST / HTTP/1.1\r\n{fields}\r\n"))
}

fn ok(fields: &str) -> Result<BodyLength, FramingError> {
    of_response(Method::Get, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))
}

#[test]
fn a_request_has_the_body_that_it_states_and_none_otherwise() {
    assert_eq!(post(""), Ok(BodyLength::None));
    assert_eq!(post("Content-Length: 0\r\n"), Ok(BodyLength::Length(0)));
    assert_eq!(post("content-length:  0042 \r\n"), Ok(BodyLength::Length(42)));
    assert_eq!(
        post("Content-Length: 9223372036854775807\r\n"),
        Ok(BodyLength::Length(LENGTH_MAX))
    );
    assert_eq!(post("Transfer-Encoding: Chunked\r\n"), Ok(BodyLength::Chunked));
    assert_eq!(
        of_request("GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n"),
        Ok(BodyLength::Length(1))
    );
    assert_eq!(
        of_request("TRACE / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        Ok(BodyLength::Length(0))
    );
}

#[test]
fn whatever_contradicts_itself_is_refused_in_both_directions() {
    for (fields, error) in [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            FramingError::LengthAndTransferEncoding,
        ),
        (
            "Transfer-Encoding: gzip\r\nContent-Length: x\r\n",
            FramingError::LengthAndTransferEncoding,
        ),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            FramingError::SeveralLengths,
        ),
        ("Content-Length: 5, 5\r\n", FramingError::SeveralLengths),
        ("Content-Length: +5\r\n", FramingError::BadLength),
        ("Content-Length: -5\r\n", FramingError::BadLength),
        ("Content-Length: 0x5\r\n", FramingError::BadLength),
        ("Content-Length: 5 5\r\n", FramingError::BadLength),
        ("Content-Length:\r\n", FramingError::BadLength),
        ("Content-Length: \u{0665}\r\n", FramingError::BadLength),
        (
            "Content-Length: 9223372036854775808\r\n",
            FramingError::LengthTooLarge,
        ),
        (
            "Content-Length: 99999999999999999999999999\r\n",
            FramingError::LengthTooLarge,
        ),
        (
            "Transfer-Encoding: xchunked\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked, gzip\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: , chunked\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked,\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked;a=b\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: \"chunked\"\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked \u{a0}\r\n",
            FramingError::BadTransferEncoding,
        ),
        (
            "Transfer-Encoding: identity\r\n",
            FramingError::BadTransferEncoding,
        ),
        ("Transfer-Encoding:\r\n", FramingError::BadTransferEncoding),
    ] {
        assert_eq!(post(fields), Err(error), "{fields}");
        assert_eq!(ok(fields), Err(error), "{fields}");
    }
    let http10 = "Transfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        of_request(&format!("POST / HTTP/1.0\r\n{http10}")),
        Err(FramingError::TransferEncodingInHttp10)
    );
    let response = of_response(Method::Get, &format!("HTTP/1.0 200 OK\r\n{http10}"));
    assert_eq!(response, Err(FramingError::TransferEncodingInHttp10));
}

#[test]
fn an_unknown_coding_is_not_implemented_for_clients_and_an_error_of_endpoints() {
    for fields in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(post(fields), Err(FramingError::UnknownTransferCoding));
        assert_eq!(ok(fields), Err(FramingError::BadTransferEncoding));
    }
    assert_eq!(FramingError::UnknownTransferCoding.status(), 501);
}

#[test]
fn connect_and_trace_announce_no_body() {
    for method in ["CONNECT a:1", "TRACE /"] {
        for fields in ["Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
            let head = format!("{method} HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(of_request(&head), Err(FramingError::BodyNotAllowed), "{head}");
        }
    }
}

#[test]
fn a_response_without_statement_ends_by_a_close() {
    assert_eq!(ok(""), Ok(BodyLength::UntilClose));
    assert_eq!(ok("Content-Length: 7\r\n"), Ok(BodyLength::Length(7)));
    assert_eq!(ok("Transfer-Encoding: chunked\r\n"), Ok(BodyLength::Chunked));
}

#[test]
fn head_and_the_bodiless_statuses_have_no_body_whatever_they_state() {
    let length = "Content-Length: 7\r\n\r\n";
    for status in [100, 101, 103, 204, 304] {
        let head = format!("HTTP/1.1 {status} x\r\n{length}");
        assert_eq!(of_response(Method::Get, &head), Ok(BodyLength::None), "{status}");
        let bad = format!("HTTP/1.1 {status} x\r\nContent-Length: 7, 8\r\n\r\n");
        assert_eq!(
            of_response(Method::Get, &bad),
            Err(FramingError::SeveralLengths),
            "{status}"
        );
    }
    assert_eq!(
        of_response(Method::Head, &format!("HTTP/1.1 200 x\r\n{length}")),
        Ok(BodyLength::None)
    );
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        of_response(Method::Head, &format!("HTTP/1.1 200 x\r\n{chunked}")),
        Ok(BodyLength::None)
    );
    for status in [100, 204] {
        let head = format!("HTTP/1.1 {status} x\r\n{chunked}");
        assert_eq!(
            of_response(Method::Get, &head),
            Err(FramingError::TransferEncodingNotAllowed),
            "{status}"
        );
    }
}

#[test]
fn a_connect_that_succeeds_opens_a_tunnel_and_its_framing_is_ignored() {
    let head = "HTTP/1.1 200 x\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(of_response(Method::Connect, head), Ok(BodyLength::None));
    assert!(opens_tunnel(200, Method::Connect) && opens_tunnel(101, Method::Get));
    assert!(!opens_tunnel(200, Method::Get) && !opens_tunnel(407, Method::Connect));
    let refused = of_response(Method::Connect, "HTTP/1.1 407 x\r\nContent-Length: 7\r\n\r\n");
    assert_eq!(refused, Ok(BodyLength::Length(7)));
}

#[test]
fn persistence_follows_version_and_connection() {
    let keeps = |version, values: &[&str]| {
        let mut fields = Fields::default();
        values
            .iter()
            .for_each(|value| fields.push(b"Connection", value.as_bytes()));
        keeps_alive(version, &fields)
    };
    assert!(keeps(Version::Http11, &[]) && !keeps(Version::Http10, &[]));
    assert!(!keeps(Version::Http11, &["keep-alive, Close"]) && !keeps(Version::Http11, &["x", "close"]));
    assert!(keeps(Version::Http10, &["Keep-Alive"]) && !keeps(Version::Http10, &["keep-alive", "close"]));
    assert!(keeps(Version::Http11, &["closed, upgrade"]));
}

#[test]
fn a_body_is_framed_anew_for_the_version_of_its_client() {
    assert_eq!(
        BodyLength::Chunked.relayed_to(Version::Http10),
        BodyLength::UntilClose
    );
    assert_eq!(
        BodyLength::UntilClose.relayed_to(Version::Http11),
        BodyLength::Chunked
    );
    assert_eq!(
        BodyLength::UntilClose.relayed_to(Version::Http10),
        BodyLength::UntilClose
    );
    assert_eq!(
        BodyLength::Length(3).relayed_to(Version::Http10),
        BodyLength::Length(3)
    );
}
