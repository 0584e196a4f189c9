//! Whom a request comes from: `X-Forwarded-For`, `-Proto`, `-Host`, and whose word about it counts.
//!
//! The rule, which is Envoy's with `use_remote_address: true`. By default nobody before us is believed: the
//! client is the peer, `-Proto` and `-Host` are ours and replace what came, and every other statement
//! that only a proxy may make ([`Known::Claim`]) is dropped. Proxies are believed by their number or by
//! their addresses:
//!
//! - With N trusted hops the peer and N - 1 proxies before it are ours: each of them appended the
//!   address that it saw, so the client is the Nth entry from the right (the peer, if there are fewer, or
//!   if that entry is no address).
//! - With trusted networks a peer in one of them is ours, and the client is the first entry from the right
//!   that is in none of them (the leftmost, if all are; the peer, if one before it is no address).
//!
//! From a peer that is believed `-Proto`, `-Host` and all other statements are kept where they came. In all
//! cases the peer's address is appended to `-For`, and nothing in front of it is removed.

use std::net::{IpAddr, SocketAddr};

use crate::bytes::trim;
use crate::field::{Fields, Known};

/// Whose word about the client is believed: at most one of the two is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust<'a> {
    /// How many hops before us are.
    pub hops: u32,
    /// Networks of proxies, as address and prefix length in bits.
    pub networks: &'a [(IpAddr, u8)],
}

impl Trust<'_> {
    /// Whether a peer of this address is believed.
    #[inline]
    #[must_use]
    pub fn believes(self, peer: IpAddr) -> bool {
        self.hops > 0 || (!self.networks.is_empty() && self.covers(peer))
    }

    fn covers(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|&(network, length)| is_within(address, network.to_canonical(), length))
    }
}

/// The client's address, as far as it is believed.
#[must_use]
pub fn client_address(fields: &Fields, peer: IpAddr, trust: Trust<'_>) -> IpAddr {
    let peer = peer.to_canonical();
    if !fields.has(Known::XForwardedFor) || !trust.believes(peer) {
        return peer;
    }
    if trust.hops > 0 {
        let before = entries(fields).count().checked_sub(trust.hops as usize);
        let entry = before.and_then(|before| entries(fields).nth(before));
        return entry.and_then(address).unwrap_or(peer);
    }
    outermost(fields, peer, trust)
}

/// The first entry from the right that no trusted network has.
fn outermost(fields: &Fields, peer: IpAddr, trust: Trust<'_>) -> IpAddr {
    let mut client = peer;
    // From the left, since a field cannot be read backwards: whoever comes later counts more.
    for (at, entry) in entries(fields).enumerate() {
        match address(entry) {
            Some(entry) if at == 0 || !trust.covers(entry) => client = entry,
            Some(_) => {}
            // Whatever is to its left was written by somebody whom nobody knows.
            None => client = peer,
        }
    }
    client
}

/// The scheme that the client speaks. `scheme` is the one of the peer's connection, `http` or `https`;
/// what came in `X-Forwarded-Proto` is kept only from a believed peer, and only if it is one of the two.
#[must_use]
pub fn forwarded_proto(fields: &Fields, believed: bool, scheme: &'static str) -> &'static str {
    if !believed {
        return scheme;
    }
    match fields.only(Known::XForwardedProto) {
        Some(came) if came.eq_ignore_ascii_case(b"https") => "https",
        Some(came) if came.eq_ignore_ascii_case(b"http") => "http",
        _ => scheme,
    }
}

/// The port that the client connected to, if a believed peer said it in one `X-Forwarded-Port`.
#[must_use]
pub fn forwarded_port(fields: &Fields) -> Option<u16> {
    let mut ports = fields.all_named(b"x-forwarded-port");
    let port = std::str::from_utf8(ports.next()?).ok()?;
    let plain = ports.next().is_none() && port.bytes().all(|digit| digit.is_ascii_digit());
    port.parse().ok().filter(|&port| plain && port > 0)
}

/// Whether the address is in the network, both in canonical form.
fn is_within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let behind = u32::from(128_u8.min(width).saturating_sub(length));
    (address ^ network).checked_shr(behind).unwrap_or(0) == 0
}

/// The entries of all `X-Forwarded-For` fields. Every comma separates, quotes or not: a client must
/// not be able to open one in its part and so swallow what a trusted proxy appended.
fn entries(fields: &Fields) -> impl Iterator<Item = &[u8]> {
    let parts = fields
        .all(Known::XForwardedFor)
        .flat_map(|value| value.split(|&byte| byte == b','));
    parts.map(trim).filter(|entry| !entry.is_empty())
}

/// An address, with or without a port: some load balancers add one.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let parsed = bare
        .parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        lines
            .iter()
            .for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
        fields
    }

    fn by(hops: u32) -> Trust<'static> {
        Trust { hops, networks: &[] }
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    #[test]
    fn the_client_is_the_nth_entry_from_the_right_and_nobody_is_believed_by_default() {
        let came = fields(&[
            ("X-Forwarded-For", "6.6.6.6, 1.1.1.1"),
            ("x-forwarded-for", "[2001:db8::2]:77"),
        ]);
        let client = |hops| client_address(&came, PEER, by(hops)).to_string();
        assert_eq!(client(0), "10.0.0.9");
        assert_eq!(client(1), "2001:db8::2");
        assert_eq!(client(2), "1.1.1.1");
        assert_eq!(client(3), "6.6.6.6");
        assert_eq!(client(4), "10.0.0.9", "fewer entries than trusted hops");
        let quote = fields(&[("x-forwarded-for", "\"6.6.6.6, 1.1.1.1")]);
        assert_eq!(
            client_address(&quote, PEER, by(1)).to_string(),
            "1.1.1.1",
            "a quote swallows nothing"
        );
        let nonsense = fields(&[("x-forwarded-for", "unknown")]);
        assert_eq!(client_address(&nonsense, PEER, by(1)), PEER);
        assert_eq!(
            client_address(&Fields::default(), "::ffff:10.0.0.9".parse().unwrap(), by(1)),
            PEER
        );
    }

    #[test]
    fn the_client_is_the_first_entry_from_the_right_outside_the_trusted_networks() {
        let networks: [(IpAddr, u8); 3] = [
            ([10, 0, 0, 0].into(), 8),
            ("fd00::".parse().unwrap(), 8),
            ([192, 0, 2, 7].into(), 32),
        ];
        let trust = Trust {
            hops: 0,
            networks: &networks,
        };
        let client = |entries: &str, peer: &str| {
            let peer = peer.parse().unwrap();
            client_address(&fields(&[("x-forwarded-for", entries)]), peer, trust).to_string()
        };
        assert_eq!(client("6.6.6.6, 1.1.1.1, 10.1.1.1", "10.0.0.9"), "1.1.1.1");
        assert_eq!(
            client("6.6.6.6, 1.1.1.1, 192.0.2.7, fd00::5", "::ffff:10.0.0.9"),
            "1.1.1.1"
        );
        assert_eq!(
            client("6.6.6.6, 1.1.1.1", "11.0.0.9"),
            "11.0.0.9",
            "a stranger's word"
        );
        assert_eq!(
            client("10.3.3.3, 10.2.2.2", "10.0.0.9"),
            "10.3.3.3",
            "the leftmost of ours"
        );
        assert_eq!(
            client("6.6.6.6, unknown, 10.2.2.2", "10.0.0.9"),
            "10.0.0.9",
            "behind what is no address"
        );
        assert_eq!(client("10.3.3.3, unknown, 1.2.3.4", "10.0.0.9"), "1.2.3.4");
        assert_eq!(client("192.0.2.8", "192.0.2.7"), "192.0.2.8");
        assert!(trust.believes([10, 255, 0, 1].into()) && !trust.believes([11, 0, 0, 1].into()));
        assert!(!trust.believes("fe00::1".parse().unwrap()) && !Trust::default().believes(PEER));
        let all = [([0, 0, 0, 0].into(), 0)];
        let trust = Trust {
            hops: 0,
            networks: &all,
        };
        assert!(trust.believes(PEER) && !trust.believes("::1".parse().unwrap()));
    }

    #[test]
    fn the_scheme_is_ours_unless_a_believed_peer_said_it_and_a_port_is_one_number() {
        let came = fields(&[("x-forwarded-proto", "HTTPS")]);
        assert_eq!(forwarded_proto(&came, false, "http"), "http");
        assert_eq!(forwarded_proto(&came, true, "http"), "https");
        let twice = fields(&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")]);
        assert_eq!(forwarded_proto(&twice, true, "http"), "http");
        assert_eq!(
            forwarded_proto(&fields(&[("x-forwarded-proto", "gopher")]), true, "http"),
            "http"
        );
        let port = |values: &[&str]| {
            let lines: Vec<_> = values.iter().map(|value| ("X-Forwarded-Port", *value)).collect();
            forwarded_port(&fields(&lines))
        };
        assert_eq!(port(&["8443"]), Some(8443));
        for wrong in [
            &["443", "443"][..],
            &["+443"],
            &["0"],
            &["65536"],
            &[""],
            &["https"],
            &[],
        ] {
            assert_eq!(port(wrong), None, "{wrong:?}");
        }
    }
}
