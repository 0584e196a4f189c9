//! Heads on their way through, as `wire` writes them: what the exchange knows, handed on.

use std::net::IpAddr;
use std::time::Duration;

use config::model::Downstream;
use policy::time::Dice;
use wire::field::{Fields, Known};
use wire::forwarded::{Trust, client_address, forwarded_proto};
use wire::h1::head::{RequestHead, ResponseHead};
use wire::outbound;

use crate::NAME;
use crate::downstream::client::Client;
use crate::exchange::attempt_count;

/// What is known of a request's client, as far as it is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// Its address.
    pub(crate) address: IpAddr,
    /// `http` or `https`: what it speaks.
    pub(crate) scheme: &'static str,
    /// Whether a proxy that is believed stands between it and us.
    pub(crate) behind_proxy: bool,
}

impl Origin {
    /// Of a request as it came.
    fn of(fields: &Fields, peer: IpAddr, scheme: &'static str, settings: &Downstream) -> Self {
        let trust = trust(settings);
        let behind_proxy = trust.believes(peer);
        Self {
            address: client_address(fields, peer, trust),
            scheme: forwarded_proto(fields, behind_proxy, scheme),
            behind_proxy,
        }
    }
}

/// Makes of a head that came the head that goes on, but for what filters change; says whom it comes from.
/// `request_id` makes an id where none came.
pub(crate) fn arrive(
    head: &mut RequestHead,
    asked_host: &str,
    max_forwards: Option<u32>,
    client: &Client,
    request_id: impl FnOnce() -> [u8; 36],
) -> Origin {
    let settings = client.downstream();
    let peer = client.connection.peer.ip();
    let scheme = if client.connection.transport.is_plain() {
        "http"
    } else {
        "https"
    };
    let origin = Origin::of(&head.fields, peer, scheme, settings);
    let arrival = outbound::Arrival {
        name: NAME,
        peer,
        believed: origin.behind_proxy,
        keeps_claims: origin.behind_proxy || !settings.sanitizes,
        scheme: origin.scheme,
        asked_host,
        max_forwards,
    };
    outbound::request(head, &arrival);
    if !head.fields.has(Known::XRequestId) {
        head.fields
            .put(Known::XRequestId, |value| value.extend_from_slice(&request_id()));
    }
    attempt_count::announce(&mut head.fields);
    origin
}

fn trust(settings: &Downstream) -> Trust<'_> {
    Trust {
        hops: settings.trusted_hops,
        networks: &settings.trusted_networks,
    }
}

/// Makes of a response's head that came the head that goes on, but for what filters change. `date` is used
/// where the endpoint sent none.
pub(crate) fn arrive_back(head: &mut ResponseHead, service: Duration, date: &[u8]) {
    let returned = outbound::Return {
        name: NAME,
        service_ms: u64::try_from(service.as_millis()).unwrap_or(u64::MAX),
        date,
    };
    outbound::response(head, &returned);
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
