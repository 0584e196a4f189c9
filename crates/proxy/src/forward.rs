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
    let version_4 = (dice.bits() & !(0xf << 12)) | (4 << 12);
    let variant_10 = (dice.bits() & !(0b11 << 62)) | (0b10 << 62);
    let [first, second] = [version_4 >> 32, version_4].map(|half| hex(half as u32));
    let [third, fourth] = [variant_10 >> 32, variant_10].map(|half| hex(half as u32));
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&first);
    text[9..13].copy_from_slice(&second[..4]);
    text[14..18].copy_from_slice(&second[4..]);
    text[19..23].copy_from_slice(&third[..4]);
    text[24..28].copy_from_slice(&third[4..]);
    text[28..].copy_from_slice(&fourth);
    text
}

/// In hexadecimal digits, all of them at a time: each digit's four bits are moved into a byte of their
/// own, and become a letter there.
const fn hex(bits: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let halves = (bits as u64 | (bits as u64) << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes | bytes << 4) & (0x0f * EACH);
    // Adding 6 carries into the fifth bit from ten on.
    let letters = ((digits + 6 * EACH) >> 4) & EACH;
    let text = digits + b'0' as u64 * EACH + (b'a' - b'0' - 10) as u64 * letters;
    text.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_letter() {
        assert_eq!(&hex(0x0123_4567), b"01234567");
        assert_eq!(&hex(0x89ab_cdef), b"89abcdef");
    }

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
