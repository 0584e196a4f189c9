//! What consistent hashing goes by: one number for a request's source, fields or cookie, and for an
//! endpoint's address. The same in every process, on every machine.

use std::net::IpAddr;

use crate::plan::HashOn;

/// A request's key under `on`; `None` if it has nothing of it. `field` finds a field's value by its
/// name in lower case.
#[must_use]
pub fn key<'a>(on: &HashOn, client: Option<IpAddr>, field: impl Fn(&str) -> Option<&'a [u8]>) -> Option<u64> {
    match on {
        HashOn::Source => Some(match client?.to_canonical() {
            IpAddr::V4(address) => hash([&address.octets()[..]]),
            IpAddr::V6(address) => hash([&address.octets()[..]]),
        }),
        HashOn::Headers(names) => {
            let values = names.iter().map(|name| field(name));
            let any = values.clone().any(|value| value.is_some());
            any.then(|| hash(values.map(Option::unwrap_or_default)))
        }
        HashOn::Cookie { name, .. } => Some(hash([cookie(field("cookie")?, name)?])),
    }
}

/// One number for these parts; where one ends and the next begins matters.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut state = FNV_START;
    let mut add = |byte: u8| state = (state ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    for part in parts {
        part.iter().for_each(|&byte| add(byte));
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut add);
    }
    mix(state)
}

/// Spreads what differs in few bits over all of them: the finisher of SplitMix64.
pub(crate) fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The value of a cookie in a `Cookie` field (RFC 6265, section 4.2.1).
fn cookie<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    field.split(|&byte| byte == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

/// FNV-1a with 64 bits.
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_in_every_process() {
        assert_eq!(hash([]), mix(FNV_START));
        let on = HashOn::Source;
        let of = |text: &str| key(&on, Some(text.parse().unwrap()), |_| None);
        assert_eq!(
            of("10.0.0.1"),
            of("::ffff:10.0.0.1"),
            "one client, however it is written"
        );
        assert_eq!(of("10.0.0.1"), Some(0x5795_d550_a863_4822));
        assert_eq!(key(&on, None, |_| None), None);
    }

    #[test]
    fn fields_are_told_apart_and_one_of_them_is_enough() {
        let on = HashOn::Headers(vec!["x-a".into(), "x-b".into()]);
        let of = |a: Option<&'static [u8]>, b: Option<&'static [u8]>| {
            key(&on, None, |name| if name == "x-a" { a } else { b })
        };
        assert_eq!(of(None, None), None);
        assert_ne!(of(Some(b"12"), Some(b"3")), of(Some(b"1"), Some(b"23")));
        assert_ne!(of(Some(b"1"), None), of(None, Some(b"1")));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let on = HashOn::Cookie {
            name: "id".into(),
            ttl: None,
        };
        let of = |field: &'static [u8]| key(&on, None, |_| Some(field));
        assert_eq!(of(b"a=b; id=7; idle=1"), Some(hash([&b"7"[..]])));
        assert_eq!(of(b"idle=1; xid=7"), None);
    }
}
