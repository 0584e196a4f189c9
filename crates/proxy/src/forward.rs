//! Heads on their way through: what this hop adds and takes away (RFC 9110, 7.6).

use std::io::Write as _;

use policy::cluster::Address;
use policy::time::Dice;
use wire::field::Known;
use wire::forwarded::{forwarded_for, forwarded_host, forwarded_proto};
use wire::h1::encode::{self, Announce, Onward, Upgrade};
use wire::h1::framing::BodyLength;
use wire::h1::head::{RequestHead, ResponseHead};
use wire::hop;

use crate::downstream::client::Client;

/// How this hop calls itself in `Via` and in its own answers.
pub(crate) const NAME: &str = "evenkeel";

/// Memory for field values, reused from request to request.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    via: Vec<u8>,
    pub(crate) forwarded_for: Vec<u8>,
    number: Vec<u8>,
    /// The endpoint's address, as the log writes it.
    pub(crate) address: Vec<u8>,
}

impl Scratch {
    /// Writes an endpoint's address down.
    pub(crate) fn address(&mut self, address: &Address) {
        self.address.clear();
        // Writing to a Vec cannot fail.
        let _ = match address {
            Address::Ip(address) => write!(self.address, "{address}"),
            Address::Unix(path) => write!(self.address, "{}", path.display()),
        };
    }
}

/// What the onward request's head says apart from the client's fields.
#[derive(Debug)]
pub(crate) struct Outbound<'a> {
    pub(crate) body: BodyLength,
    pub(crate) upgrade: bool,
    /// The host to ask for, if it is not the client's `Host` as sent.
    pub(crate) host: Option<&'a str>,
    /// What the client asked for, for `X-Forwarded-Host`.
    pub(crate) asked_host: &'a str,
    pub(crate) trusted_hops: u32,
    pub(crate) max_forwards: Option<u32>,
}

/// Appends the request's head as the endpoint gets it.
pub(crate) fn request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    outbound: &Outbound<'_>,
    client: &Client,
    scratch: &mut Scratch,
) {
    let fields = &head.fields;
    scratch.via.clear();
    hop::via(&mut scratch.via, fields, head.version, NAME);
    scratch.forwarded_for.clear();
    forwarded_for(&mut scratch.forwarded_for, fields, client.peer.ip());
    scratch.number.clear();
    let mut extra: [(&[u8], &[u8]); 6] = [(b"", b""); 6];
    extra[0] = (b"via", &scratch.via);
    extra[1] = (b"x-forwarded-for", &scratch.forwarded_for);
    extra[2] = (
        b"x-forwarded-proto",
        forwarded_proto(fields, outbound.trusted_hops, "http").as_bytes(),
    );
    let mut count = 3;
    if !outbound.asked_host.is_empty() {
        extra[count] = (
            b"x-forwarded-host",
            forwarded_host(fields, outbound.trusted_hops, outbound.asked_host),
        );
        count += 1;
    }
    if let Some(host) = outbound.host {
        extra[count] = (b"host", host.as_bytes());
        count += 1;
    }
    if let Some(hops) = outbound.max_forwards {
        // Writing to a Vec cannot fail.
        let _ = write!(scratch.number, "{hops}");
        extra[count] = (b"max-forwards", &scratch.number);
        count += 1;
    }
    let upgrade = if outbound.upgrade {
        Upgrade::Keep
    } else {
        Upgrade::Drop
    };
    let onward = Onward {
        body: outbound.body,
        announce: Announce::Nothing,
        upgrade,
        extra: &extra[..count],
    };
    encode::request(out, head, &onward);
}

/// Appends an interim response (1xx) as the client gets it.
pub(crate) fn interim(out: &mut Vec<u8>, head: &ResponseHead) {
    let mut via = Vec::new();
    hop::via(&mut via, &head.fields, head.version, NAME);
    let onward = Onward {
        extra: &[(b"via", &via)],
        ..Onward::default()
    };
    encode::response(out, head, &onward);
}

/// What the response's head says to the client apart from the endpoint's fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inbound {
    pub(crate) body: BodyLength,
    pub(crate) announce: Announce,
    pub(crate) upgrade: Upgrade,
    pub(crate) service_ms: u64,
}

/// Appends the response's head as the client gets it. `date` is used where the endpoint sent none
/// (RFC 9110, 6.6.1).
pub(crate) fn response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    inbound: Inbound,
    date: &[u8],
    scratch: &mut Scratch,
) {
    scratch.via.clear();
    hop::via(&mut scratch.via, &head.fields, head.version, NAME);
    scratch.number.clear();
    scratch
        .number
        .extend_from_slice(itoa::Buffer::new().format(inbound.service_ms).as_bytes());
    let extra: [(&[u8], &[u8]); 3] = [
        (b"via", &scratch.via),
        (b"x-envoy-upstream-service-time", &scratch.number),
        (b"date", date),
    ];
    let dated = head.fields.has(Known::Date);
    let extra = if dated { &extra[..2] } else { &extra[..] };
    let onward = Onward {
        body: inbound.body,
        announce: inbound.announce,
        upgrade: inbound.upgrade,
        extra,
    };
    encode::response(out, head, &onward);
}

/// A new request id: a random UUID (RFC 9562, 5.4).
pub(crate) fn request_id(dice: &mut Dice) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bits = (u128::from(dice.bits()) << 64) | u128::from(dice.bits());
    bits = (bits & !(0xf << 76)) | (4 << 76);
    bits = (bits & !(0b11 << 62)) | (0b10 << 62);
    let mut text = [b'-'; 36];
    let mut nibble = 32;
    for (at, letter) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            nibble -= 1;
            *letter = HEX[((bits >> (4 * nibble)) & 0xf) as usize];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_random_uuid() {
        let mut dice = Dice::seeded(1);
        for _ in 0..100 {
            let id = request_id(&mut dice);
            let id = std::str::from_utf8(&id).unwrap();
            assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert_eq!(&id[14..15], "4");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        }
    }
}
