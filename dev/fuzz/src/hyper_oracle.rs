//! hyper's verdict on what we accept: its server reads the same bytes and must find the same request
//! with the same body, and right behind it the next one.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use crate::wire::{Accepted, accepted};
use ::wire::field::Known;
use ::wire::h1::encode::{self, OutboundHead};
use ::wire::h1::framing::{BodyLength, keeps_alive};
use ::wire::h1::head::Method;

/// A request as hyper's server saw it; no body if it could not be read to its end.
#[derive(Debug, PartialEq)]
struct Seen {
    method: String,
    path: String,
    body: Option<Vec<u8>>,
}

/// Holds what we accept against hyper: as it came (but for the target, in which hyper's notion of a
/// URI is narrower than RFC 9112's visible letters of use), and as we forward it.
pub fn agrees_with_hyper(data: &[u8]) {
    let Some(request) = accepted(data) else { return };
    // After a CONNECT there is a tunnel, no next request.
    if request.head.method == Method::Connect {
        return;
    }
    let as_it_came = [&with_plain_target(data, &request), NEXT].concat();
    let persists = keeps_alive(request.head.version, &request.head.fields);
    expect(&as_it_came, &request, persists);
    expect(&[&as_forwarded(&request), NEXT].concat(), &request, true);
}

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

fn expect(bytes: &[u8], request: &Accepted, persists: bool) {
    let seen = serve(bytes);
    let first = Seen {
        method: request.head.method_text().to_owned(),
        path: "/".to_owned(),
        body: Some(request.body.clone()),
    };
    let next = Seen {
        method: "GET".to_owned(),
        path: "/next".to_owned(),
        body: Some(Vec::new()),
    };
    let expected = if persists { vec![first, next] } else { vec![first] };
    assert_eq!(seen, expected, "in {}", bytes.escape_ascii());
}

/// The message as it came, its target replaced by `/`.
fn with_plain_target(data: &[u8], request: &Accepted) -> Vec<u8> {
    let line = data
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .expect("an accepted request has a line");
    let target = line + request.head.method_text().len() + 1;
    let after = target + request.head.target().len();
    [&data[line..target], b"/", &data[after..request.message_len]].concat()
}

/// The message as an endpoint gets it.
fn as_forwarded(request: &Accepted) -> Vec<u8> {
    let mut head = request.head.clone();
    head.set_target("/");
    head.fields
        .put(Known::Host, |value| value.extend_from_slice(b"endpoint"));
    let mut bytes = Vec::new();
    encode::request(
        &mut bytes,
        &head,
        &OutboundHead {
            body: request.framing,
            ..OutboundHead::default()
        },
    );
    if request.framing != BodyLength::Chunked {
        bytes.extend_from_slice(&request.body);
        return bytes;
    }
    for chunk in request.body.chunks(1000) {
        encode::chunk_header(&mut bytes, chunk.len() as u64);
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(encode::CHUNK_END);
    }
    encode::last_chunk(&mut bytes, &::wire::field::Fields::default());
    bytes
}

/// Lets hyper's server read the bytes and then the end; says what it saw.
fn serve(bytes: &[u8]) -> Vec<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            let (method, path) = (parts.method.to_string(), parts.uri.to_string());
            seen.borrow_mut().push(Seen { method, path, body });
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        }
    });
    runtime.block_on(async {
        // Two requests and their answers fit into the pipe, so nobody needs to read at the far end.
        let (mut client, server) = tokio::io::duplex(bytes.len() + 64 * 1024);
        client.write_all(bytes).await.expect("the pipe has room for all");
        client.shutdown().await.expect("a pipe can be shut down");
        let connection = http1::Builder::new()
            .half_close(true)
            // We accept 100 fields and add a few of our own.
            .max_headers(128)
            .serve_connection(TokioIo::new(server), service);
        // How it ended does not matter, what it saw does.
        let _ = connection.await;
    });
    seen.take()
}
