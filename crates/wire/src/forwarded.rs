//! Whom a request comes from: `X-Forwarded-For`, `-Proto`, `-Host`.
//!
//! The rule, which is Envoy's with `use_remote_address: true` and `xff_num_trusted_hops: N`. With
//! N = 0 nobody before us is believed: the client is the peer, `-Proto` and `-Host` are ours and
//! replace what came. With N > 0 the peer and N - 1 proxies before it are ours: each of them appended
//! the address that it saw, so the client is the Nth entry from the right (the peer, if there are
//! fewer, or if that entry is no address), and `-Proto` and `-Host` are kept where they came. In both
//! cases the peer's address is appended to `-For`, and nothing in front of it is removed.

use std::net::{IpAddr, SocketAddr};

use crate::bytes::trim;
use crate::field::{Fields, Known};
use crate::text::push_ip;

/// The client's address, as far as it is believed.
#[must_use]
pub fn client_address(fields: &Fields, peer: IpAddr, trusted_hops: u32) -> IpAddr {
    let peer = peer.to_canonical();
    if trusted_hops == 0 || !fields.has(Known::XForwardedFor) {
        return peer;
    }
    let before = entries(fields).count().checked_sub(trusted_hops as usize);
    before
        .and_then(|before| entries(fields).nth(before))
        .and_then(address)
        .unwrap_or(peer)
}

/// Appends to `out` the value of the `X-Forwarded-For` field to send: what came, then the peer.
pub fn forwarded_for(out: &mut Vec<u8>, fields: &Fields, peer: IpAddr) {
    for value in fields.all(Known::XForwardedFor).filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    push_ip(out, peer.to_canonical());
}

/// The value of the `X-Forwarded-Proto` field to send. `scheme` is the one of the peer's connection,
/// `http` or `https`; what came is kept only from a trusted peer, and only if it is one of the two.
#[must_use]
pub fn forwarded_proto(fields: &Fields, trusted_hops: u32, scheme: &'static str) -> &'static str {
    if trusted_hops == 0 {
        return scheme;
    }
    match fields.only(Known::XForwardedProto) {
        Some(came) if came.eq_ignore_ascii_case(b"https") => "https",
        Some(came) if came.eq_ignore_ascii_case(b"http") => "http",
        _ => scheme,
    }
}

/// The value of the `X-Forwarded-Host` field to send; `host` is what the client asked for.
#[must_use]
pub fn forwarded_host<'a>(fields: &'a Fields, trusted_hops: u32, host: &'a str) -> &'a [u8] {
    if trusted_hops == 0 {
        return host.as_bytes();
    }
    let came = fields.only(Known::XForwardedHost).filter(|came| !came.is_empty());
    came.unwrap_or(host.as_bytes())
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

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    #[test]
    fn the_client_is_the_nth_entry_from_the_right_and_nobody_is_believed_by_default() {
        let came = fields(&[
            ("X-Forwarded-For", "6.6.6.6, 1.1.1.1"),
            ("x-forwarded-for", "[2001:db8::2]:77"),
        ]);
        let client = |hops| client_address(&came, PEER, hops).to_string();
        assert_eq!(client(0), "10.0.0.9");
        assert_eq!(client(1), "2001:db8::2");
        assert_eq!(client(2), "1.1.1.1");
        assert_eq!(client(3), "6.6.6.6");
        assert_eq!(client(4), "10.0.0.9", "fewer entries than trusted hops");
        let quote = fields(&[("x-forwarded-for", "\"6.6.6.6, 1.1.1.1")]);
        assert_eq!(
            client_address(&quote, PEER, 1).to_string(),
            "1.1.1.1",
            "a quote swallows nothing"
        );
        let nonsense = fields(&[("x-forwarded-for", "unknown")]);
        assert_eq!(client_address(&nonsense, PEER, 1), PEER);
        assert_eq!(
            client_address(&Fields::default(), "::ffff:10.0.0.9".parse().unwrap(), 1),
            PEER
        );
    }

    #[test]
    fn the_peer_is_appended_to_what_came() {
        let mut out = Vec::new();
        forwarded_for(
            &mut out,
            &fields(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "")]),
            PEER,
        );
        assert_eq!(out, b"1.1.1.1, 10.0.0.9");
        out.clear();
        forwarded_for(&mut out, &Fields::default(), "::ffff:1.2.3.4".parse().unwrap());
        assert_eq!(out, b"1.2.3.4");
    }

    #[test]
    fn scheme_and_host_are_ours_unless_a_trusted_peer_said_them() {
        let came = fields(&[
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-host", "outside.example"),
        ]);
        assert_eq!(forwarded_proto(&came, 0, "http"), "http");
        assert_eq!(forwarded_proto(&came, 1, "http"), "https");
        assert_eq!(forwarded_host(&came, 0, "inside"), b"inside");
        assert_eq!(forwarded_host(&came, 1, "inside"), b"outside.example");
        let twice = fields(&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")]);
        assert_eq!(forwarded_proto(&twice, 1, "http"), "http");
        assert_eq!(
            forwarded_proto(&fields(&[("x-forwarded-proto", "gopher")]), 1, "http"),
            "http"
        );
    }
}
