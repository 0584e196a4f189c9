//! Heads on their way through, as `wire` writes them: what the exchange knows, handed on.

use policy::time::Dice;
use wire::forwarded::forwarded_for;
use wire::h1::encode::{Added, Announce, Upgrade};
use wire::h1::framing::BodyLength;
use wire::h1::head::{RequestHead, ResponseHead};
use wire::onward;

use crate::downstream::client::Client;

/// How this hop calls itself in `Via` and in its own answers.
pub(crate) const NAME: &str = "evenkeel";

/// Memory for field values, reused from request to request.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) forwarded_for: Vec<u8>,
    added: Added,
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
    scratch.forwarded_for.clear();
    forwarded_for(
        &mut scratch.forwarded_for,
        &head.fields,
        client.connection.peer.ip(),
    );
    let upgrade = if outbound.upgrade {
        Upgrade::Keep
    } else {
        Upgrade::Drop
    };
    let outbound = onward::Outbound {
        name: NAME,
        body: outbound.body,
        upgrade,
        host: outbound.host,
        asked_host: outbound.asked_host,
        scheme: "http",
        forwarded_for: &scratch.forwarded_for,
        trusted_hops: outbound.trusted_hops,
        max_forwards: outbound.max_forwards,
    };
    onward::request(out, head, &outbound, &mut scratch.added);
}

/// Appends an interim response (1xx) as the client gets it.
pub(crate) fn interim(out: &mut Vec<u8>, head: &ResponseHead) {
    onward::interim(out, head, NAME);
}

/// What the response's head says to the client apart from the endpoint's fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inbound {
    pub(crate) body: BodyLength,
    pub(crate) announce: Announce,
    pub(crate) upgrade: Upgrade,
    pub(crate) service_ms: u64,
}

/// Appends the response's head as the client gets it. `date` is used where the endpoint sent none.
pub(crate) fn response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    inbound: Inbound,
    date: &[u8],
    scratch: &mut Scratch,
) {
    let inbound = onward::Inbound {
        name: NAME,
        body: inbound.body,
        announce: inbound.announce,
        upgrade: inbound.upgrade,
        service_ms: inbound.service_ms,
        date,
    };
    onward::response(out, head, &inbound, &mut scratch.added);
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
