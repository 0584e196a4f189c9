//! Heads on their way through: what this hop says of itself and of the client (RFC 9110, 7.6).

use crate::bytes::push_decimal;
use crate::field::Known;
use crate::forwarded::{forwarded_host, forwarded_proto};
use crate::h1::encode::{self, Announce, Onward, Upgrade};
use crate::h1::framing::BodyLength;
use crate::h1::head::{RequestHead, ResponseHead};
use crate::hop;

/// Memory for the values of fields, reused from head to head.
#[derive(Debug, Default)]
pub struct Values {
    via: Vec<u8>,
    number: Vec<u8>,
}

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

/// Appends the request's head as the endpoint gets it.
///
/// # Panics
/// As [`encode::request`].
pub fn request(out: &mut Vec<u8>, head: &RequestHead, outbound: &Outbound<'_>, values: &mut Values) {
    let fields = &head.fields;
    values.via.clear();
    hop::via(&mut values.via, fields, head.version, outbound.name);
    values.number.clear();
    let mut extra: [(&[u8], &[u8]); 6] = [(b"", b""); 6];
    extra[0] = (b"via", &values.via);
    extra[1] = (b"x-forwarded-for", outbound.forwarded_for);
    extra[2] = (
        b"x-forwarded-proto",
        forwarded_proto(fields, outbound.trusted_hops, outbound.scheme).as_bytes(),
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
        push_decimal(&mut values.number, u64::from(hops));
        extra[count] = (b"max-forwards", &values.number);
        count += 1;
    }
    let onward = Onward {
        body: outbound.body,
        announce: Announce::Nothing,
        upgrade: outbound.upgrade,
        extra: &extra[..count],
    };
    encode::request(out, head, &onward);
}

/// Appends an interim response (1xx) as the client gets it, `name` being our pseudonym.
pub fn interim(out: &mut Vec<u8>, head: &ResponseHead, name: &str, values: &mut Values) {
    values.via.clear();
    hop::via(&mut values.via, &head.fields, head.version, name);
    let onward = Onward {
        extra: &[(b"via", &values.via)],
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

/// Appends the response's head as the client gets it.
pub fn response(out: &mut Vec<u8>, head: &ResponseHead, inbound: &Inbound<'_>, values: &mut Values) {
    values.via.clear();
    hop::via(&mut values.via, &head.fields, head.version, inbound.name);
    values.number.clear();
    push_decimal(&mut values.number, inbound.service_ms);
    let extra: [(&[u8], &[u8]); 3] = [
        (b"via", &values.via),
        (b"x-envoy-upstream-service-time", &values.number),
        (b"date", inbound.date),
    ];
    let dated = head.fields.has(Known::Date);
    let onward = Onward {
        body: inbound.body,
        announce: inbound.announce,
        upgrade: inbound.upgrade,
        extra: if dated { &extra[..2] } else { &extra },
    };
    encode::response(out, head, &onward);
}
