//! Heads on their way through.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use wire::forwarded::forwarded_for;
use wire::h1::encode::{Added, Announce, Upgrade};
use wire::h1::framing::BodyLength;
use wire::h1::head::{RequestHead, ResponseHead};
use wire::onward::{self, Inbound, Outbound};

use crate::{Step, heads};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 35, 28));
const DATE: &[u8] = b"Wed, 17 Jan 2024 09:30:00 GMT";

/// Memory for what is written, and the writing.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) out: Vec<u8>,
    pub(crate) forwarded_for: Vec<u8>,
    added: Added,
}

impl Desk {
    /// The request's head as the endpoint gets it.
    pub(crate) fn request(&mut self, head: &RequestHead) {
        self.forwarded_for.clear();
        forwarded_for(&mut self.forwarded_for, &head.fields, CLIENT);
        let outbound = Outbound {
            name: "evenkeel",
            body: BodyLength::None,
            upgrade: Upgrade::Drop,
            host: None,
            asked_host: "www.example.com",
            scheme: "http",
            forwarded_for: &self.forwarded_for,
            trusted_hops: 0,
            max_forwards: None,
        };
        self.out.clear();
        onward::request(&mut self.out, head, &outbound, &mut self.added);
        black_box(&self.out);
    }

    /// The response's head as the client gets it.
    pub(crate) fn response(&mut self, head: &ResponseHead) {
        let inbound = Inbound {
            name: "evenkeel",
            body: BodyLength::Length(100),
            announce: Announce::Nothing,
            upgrade: Upgrade::Drop,
            service_ms: 12,
            date: DATE,
        };
        self.out.clear();
        onward::response(&mut self.out, head, &inbound, &mut self.added);
        black_box(&self.out);
    }
}

/// A request is written.
pub(crate) fn request() -> Step {
    let (head, mut desk) = (heads::request(), Desk::default());
    Box::new(move || desk.request(black_box(&head)))
}

/// A response is written.
pub(crate) fn response() -> Step {
    let (head, mut desk) = (heads::response(), Desk::default());
    Box::new(move || desk.response(black_box(&head)))
}
