//! Heads on their way through: what this hop says of itself and of the client (RFC 9110, 7.6).

use crate::field::Known;
use crate::forwarded::{forwarded_host, forwarded_proto};
use crate::h1::encode::{self, Added, Announce, Onward, Upgrade};
use crate::h1::framing::BodyLength;
use crate::h1::head::{RequestHead, ResponseHead};
use crate::hop;
use crate::text::push_decimal;

/// What the onward request's head says apart from the client's fields.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// Our pseudonym in `Via`, a token.
    pub name: &'a str,
    /// How the body is framed.
    pub body: BodyLength,
    /// Whether the request's `Upgrade` goes along.
    pub upgrade: Upgrade,
    /// The host to ask for, if it is not the client's `Host` as sent.
    pub host: Option<&'a str>,
    /// What the client asked for, for `X-Forwarded-Host`; empty if it said no host.
    pub asked_host: &'a str,
    /// `http` or `https`: what the client's connection speaks, for `X-Forwarded-Proto`.
    pub scheme: &'static str,
    /// The value of `X-Forwarded-For`, made by [`forwarded_for`](crate::forwarded::forwarded_for).
    pub forwarded_for: &'a [u8],
    /// How many hops before us are believed; see [`forwarded`](crate::forwarded).
    pub trusted_hops: u32,
    /// `Max-Forwards` to send in place of what came.
    pub max_forwards: Option<u32>,
}

/// Appends the request's head as the endpoint gets it. `added` is memory, kept from head to head.
///
/// # Panics
/// As [`encode::request`].
pub fn request(out: &mut Vec<u8>, head: &RequestHead, outbound: &Outbound<'_>, added: &mut Added) {
    let fields = &head.fields;
    added.clear();
    added.push_with(Known::Via, |line| {
        hop::via(line, fields, head.version, outbound.name)
    });
    added.push(Known::XForwardedFor, outbound.forwarded_for);
    added.push(
        Known::XForwardedProto,
        forwarded_proto(fields, outbound.trusted_hops, outbound.scheme).as_bytes(),
    );
    if !outbound.asked_host.is_empty() {
        added.push(
            Known::XForwardedHost,
            forwarded_host(fields, outbound.trusted_hops, outbound.asked_host),
        );
    }
    if let Some(host) = outbound.host {
        added.push(Known::Host, host.as_bytes());
    }
    if let Some(hops) = outbound.max_forwards {
        added.push_with(Known::MaxForwards, |line| push_decimal(line, u64::from(hops)));
    }
    let onward = Onward {
        body: outbound.body,
        announce: Announce::Nothing,
        upgrade: outbound.upgrade,
        added: Some(added),
    };
    encode::request(out, head, &onward);
}

/// Appends an interim response (1xx) as the client gets it, `name` being our pseudonym.
pub fn interim(out: &mut Vec<u8>, head: &ResponseHead, name: &str) {
    let mut added = Added::default();
    added.push_with(Known::Via, |line| {
        hop::via(line, &head.fields, head.version, name)
    });
    let onward = Onward {
        added: Some(&added),
        ..Onward::default()
    };
    encode::response(out, head, &onward);
}

/// What the response's head says to the client apart from the endpoint's fields.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// Our pseudonym in `Via`, a token.
    pub name: &'a str,
    /// How the body is framed.
    pub body: BodyLength,
    /// What `Connection` says of the connection's end.
    pub announce: Announce,
    /// Whether the response's `Upgrade` goes along.
    pub upgrade: Upgrade,
    /// `X-Envoy-Upstream-Service-Time`, in milliseconds.
    pub service_ms: u64,
    /// The date, used where the endpoint sent none (RFC 9110, 6.6.1).
    pub date: &'a [u8],
}

/// Appends the response's head as the client gets it. `added` is memory, kept from head to head.
pub fn response(out: &mut Vec<u8>, head: &ResponseHead, inbound: &Inbound<'_>, added: &mut Added) {
    added.clear();
    added.push_with(Known::Via, |line| {
        hop::via(line, &head.fields, head.version, inbound.name)
    });
    added.push_with(Known::XEnvoyUpstreamServiceTime, |line| {
        push_decimal(line, inbound.service_ms)
    });
    if !head.fields.has(Known::Date) {
        added.push(Known::Date, inbound.date);
    }
    let onward = Onward {
        body: inbound.body,
        announce: inbound.announce,
        upgrade: inbound.upgrade,
        added: Some(added),
    };
    encode::response(out, head, &onward);
}
