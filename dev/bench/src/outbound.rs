//! Heads on their way through.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use wire::h1::encode::{self, OutboundHead};
use wire::h1::framing::BodyLength;
use wire::h1::head::{RequestHead, ResponseHead};
use wire::outbound::{self, Arrival, Return};

use crate::{Step, heads};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 35, 28));
const DATE: &[u8] = b"Wed, 17 Jan 2024 09:30:00 GMT";

/// Memory for what is written, and the writing.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) out: Vec<u8>,
}

impl Desk {
    /// The request's head as the endpoint gets it. A head is read for each message, so what this adds to
    /// it stays.
    pub(crate) fn request(&mut self, head: &mut RequestHead) {
        let arrival = Arrival {
            name: "evenkeel",
            peer: CLIENT,
            believed: false,
            keeps_claims: false,
            scheme: "http",
            asked_host: "www.example.com",
            max_forwards: None,
        };
        outbound::request(head, &arrival);
        self.out.clear();
        encode::request(&mut self.out, head, &OutboundHead::default());
        black_box(&self.out);
    }

    /// The response's head as the client gets it.
    pub(crate) fn response(&mut self, head: &mut ResponseHead) {
        let returned = Return {
            name: "evenkeel",
            service_ms: 12,
            date: DATE,
        };
        outbound::response(head, &returned);
        self.out.clear();
        let outbound = OutboundHead {
            body: BodyLength::Length(100),
            ..OutboundHead::default()
        };
        encode::response(&mut self.out, head, &outbound);
        black_box(&self.out);
    }
}

/// A request is written, of a head that is read for it.
pub(crate) fn request() -> Step {
    let (mut head, mut desk) = (RequestHead::default(), Desk::default());
    Box::new(move || {
        heads::read_request(&mut head);
        desk.request(black_box(&mut head));
    })
}

/// A response is written, of a head that is read for it.
pub(crate) fn response() -> Step {
    let (mut head, mut desk) = (ResponseHead::default(), Desk::default());
    Box::new(move || {
        heads::read_response(&mut head);
        desk.response(black_box(&mut head));
    })
}
