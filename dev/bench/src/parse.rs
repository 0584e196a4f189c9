//! Bytes to heads, and what is checked before a request is forwarded.

use std::hint::black_box;

use wire::h1::framing;
use wire::h1::head::{RequestHead, ResponseHead};
use wire::hop;

use crate::{Step, heads};

/// A request's head is read.
pub(crate) fn request() -> Step {
    let mut head = RequestHead::default();
    Box::new(move || {
        heads::read_request(&mut head);
        black_box(&head);
    })
}

/// A response's head is read, and its framing decided.
pub(crate) fn response() -> Step {
    let (mut head, asked) = (ResponseHead::default(), heads::request());
    Box::new(move || {
        heads::read_response(&mut head);
        let body = framing::response_body(&head, asked.method).expect("the framing is in order");
        black_box((&head, body));
    })
}

/// What a hop must check before it forwards a request.
pub(crate) fn check() -> Step {
    let head = heads::request();
    Box::new(move || check_request(black_box(&head)))
}

/// Framing, `Connection`, `Expect`, `Max-Forwards`, `Upgrade`.
pub(crate) fn check_request(head: &RequestHead) {
    let body = framing::request_body(head).expect("the framing is in order");
    hop::check_connection(&head.fields).expect("Connection is in order");
    let expected = hop::expects_continue(head).expect("Expect is in order");
    let hops = hop::max_forwards(head).expect("Max-Forwards is in order");
    black_box((body, expected, hops, hop::upgrade_request(head)));
}
