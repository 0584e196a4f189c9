use super::*;
use crate::h1::head::{Limits, Scan};

fn forwarded(head: &str, outbound: &OutboundHead) -> String {
    let mut request_head = RequestHead::default();
    request_head
        .read(head.as_bytes(), &mut Scan::default(), &Limits::default())
        .unwrap()
        .unwrap();
    let mut out = b"before|".to_vec();
    request(&mut out, &request_head, outbound);
    String::from_utf8(out)
        .unwrap()
        .strip_prefix("before|")
        .unwrap()
        .to_owned()
}

fn relayed(head: &str, outbound: &OutboundHead) -> String {
    let mut response_head = ResponseHead::default();
    response_head
        .read(head.as_bytes(), &mut Scan::default(), &Limits::default())
        .unwrap()
        .unwrap();
    let mut out = Vec::new();
    response(&mut out, &response_head, outbound);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_is_written_anew_without_the_fields_of_its_connection() {
    let head = "GET /a HTTP/1.0\r\nHost:x \r\nConnection: close, Keep-Alive\r\nKeep-Alive: timeout=5\r\n\
                Accept:  */*\r\nTE: gzip\r\nProxy-Connection: close\r\n\
                Upgrade: websocket\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nTrailer: Expires\r\nVia: 1.0 old\r\n\r\n";
    assert_eq!(
        forwarded(head, &OutboundHead::default()),
        "GET /a HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nTrailer: Expires\r\nVia: 1.0 old\r\n\r\n"
    );
}

#[test]
fn framing_is_stated_by_us_whatever_the_head_says() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0005\r\n\r\n";
    let with = |body| {
        forwarded(
            head,
            &OutboundHead {
                body,
                ..OutboundHead::default()
            },
        )
    };
    let start = "POST / HTTP/1.1\r\nHost: x\r\n";
    assert_eq!(
        with(BodyLength::Length(5)),
        format!("{start}content-length: 5\r\n\r\n")
    );
    assert_eq!(
        with(BodyLength::Chunked),
        format!("{start}transfer-encoding: chunked\r\n\r\n")
    );
    assert_eq!(with(BodyLength::None), format!("{start}\r\n"));
}

#[test]
fn trailers_are_asked_for_onward_and_connection_names_it() {
    let head = "GET / HTTP/1.1\r\nHost: x\r\nTE: gzip, Trailers\r\nConnection: TE\r\n\r\n";
    assert_eq!(
        forwarded(
            head,
            &OutboundHead {
                persistence: Persistence::Close,
                ..OutboundHead::default()
            }
        ),
        "GET / HTTP/1.1\r\nHost: x\r\nte: trailers\r\nconnection: close, te\r\n\r\n"
    );
}

#[test]
fn an_upgrade_crosses_only_when_it_is_asked_to() {
    let head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n";
    let (start, key) = ("GET / HTTP/1.1\r\nHost: x\r\n", "Sec-WebSocket-Key: k\r\n");
    assert_eq!(
        forwarded(head, &OutboundHead::default()),
        format!("{start}{key}\r\n")
    );
    assert_eq!(
        forwarded(
            head,
            &OutboundHead {
                upgrade: Upgrade::Keep,
                ..OutboundHead::default()
            }
        ),
        format!("{start}Upgrade: websocket\r\n{key}connection: upgrade\r\n\r\n")
    );
}

#[test]
fn a_response_keeps_the_length_that_it_only_tells_of() {
    let none = OutboundHead::default();
    let of = |status: &str| relayed(&format!("HTTP/1.0 {status}\r\nContent-Length: 7\r\n\r\n"), &none);
    assert_eq!(
        of("304 Not Modified"),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"
    );
    assert_eq!(
        of("200 OK"),
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        "to a HEAD"
    );
    assert_eq!(of("204 No Content"), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(of("103 Early Hints"), "HTTP/1.1 103 Early Hints\r\n\r\n");
}

#[test]
fn a_response_is_written_anew_with_the_framing_for_its_client() {
    let head =
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nServer: s\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n";
    let outbound = OutboundHead {
        body: BodyLength::UntilClose,
        persistence: Persistence::Close,
        ..OutboundHead::default()
    };
    assert_eq!(
        relayed(head, &outbound),
        "HTTP/1.1 200 \r\nServer: s\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nconnection: close\r\n\r\n"
    );
    let kept = OutboundHead {
        body: BodyLength::Length(0),
        persistence: Persistence::KeepAlive,
        ..OutboundHead::default()
    };
    assert!(relayed(head, &kept).ends_with("content-length: 0\r\nconnection: keep-alive\r\n\r\n"));
}

#[test]
fn chunk_headers_are_the_size_in_hexadecimal() {
    for size in [1, 9, 10, 15, 16, 255, 256, 0xdead_beef, u64::MAX] {
        let mut out = Vec::new();
        chunk_header(&mut out, size);
        assert_eq!(out, format!("{size:x}\r\n").as_bytes());
    }
    let mut out = Vec::new();
    last_chunk(&mut out, &Fields::default());
    assert_eq!(out, b"0\r\n\r\n");
}

#[test]
#[should_panic(expected = "never ends by a close")]
fn a_request_body_that_ends_by_a_close_is_a_bug_of_ours() {
    request(
        &mut Vec::new(),
        &RequestHead::default(),
        &OutboundHead {
            body: BodyLength::UntilClose,
            ..OutboundHead::default()
        },
    );
}
