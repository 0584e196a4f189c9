//! Heads on their way through (RFC 9110, 7.6): what ends at this hop is taken out, and what this hop
//! says of itself and of the client is put in, before anything is matched or edited. So what rules
//! see is what is forwarded, and an owner's edits have the last word.

use std::net::IpAddr;

use crate::field::{Fields, Known, KnownSet};
use crate::h1::head::{RequestHead, ResponseHead, Version};
use crate::hop::{self, Named};
use crate::text::{push_decimal, push_ip};

/// What this hop knows of a request besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Our pseudonym in `Via`, a token.
    pub name: &'a str,
    /// The address that it came from.
    pub peer: IpAddr,
    /// Whether that peer's word about the client is believed; see [`forwarded`](crate::forwarded).
    pub believed: bool,
    /// Whether what only a trusted proxy may say ([`Known::Claim`]) is kept.
    pub keeps_claims: bool,
    /// `http` or `https`: what the client speaks, for `X-Forwarded-Proto`; made by
    /// [`forwarded_proto`](crate::forwarded::forwarded_proto).
    pub scheme: &'static str,
    /// What the client asked for, for `X-Forwarded-Host`; empty if it said no host.
    pub asked_host: &'a str,
    /// `Max-Forwards` to send in place of what came.
    pub max_forwards: Option<u32>,
}

/// Makes of a head that came the head that goes on, but for framing and `Connection`, which
/// [`encode::request`](crate::h1::encode::request) states.
///
/// Taken out: fields that `Connection` names, credentials for proxies, aliases of names that we write
/// or frame by, and every [`Known::Claim`] that is not kept.
pub fn request(head: &mut RequestHead, arrival: &Arrival<'_>) {
    let fields = &mut head.fields;
    let mut dropped = ENDS_HERE;
    if !arrival.keeps_claims {
        dropped.insert(Known::Claim);
    }
    take_out(fields, dropped);
    put_via(fields, head.version, arrival.name);
    fields.put_last(Known::XForwardedFor, |value| {
        push_ip(value, arrival.peer.to_canonical())
    });
    fields.put(Known::XForwardedProto, |value| {
        value.extend_from_slice(arrival.scheme.as_bytes());
    });
    let kept = arrival.believed
        && fields
            .only(Known::XForwardedHost)
            .is_some_and(|host| !host.is_empty());
    if !kept && arrival.asked_host.is_empty() {
        fields.remove(Known::XForwardedHost);
    } else if !kept {
        fields.put(Known::XForwardedHost, |value| {
            value.extend_from_slice(arrival.asked_host.as_bytes());
        });
    }
    if let Some(hops) = arrival.max_forwards {
        fields.put(Known::MaxForwards, |value| push_decimal(value, u64::from(hops)));
    }
}

/// As [`request`], of an interim response (1xx).
pub fn interim(head: &mut ResponseHead, name: &str) {
    take_out(&mut head.fields, ENDS_HERE);
    put_via(&mut head.fields, head.version, name);
}

/// What this hop knows of a response besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Return<'a> {
    /// Our pseudonym in `Via`, a token.
    pub name: &'a str,
    /// `X-Envoy-Upstream-Service-Time`, in milliseconds.
    pub service_ms: u64,
    /// The date, used where the endpoint sent none (RFC 9110, 6.6.1).
    pub date: &'a [u8],
}

/// As [`request`], of a final response. What an endpoint states is kept.
pub fn response(head: &mut ResponseHead, returned: &Return<'_>) {
    let fields = &mut head.fields;
    take_out(fields, ENDS_HERE);
    put_via(fields, head.version, returned.name);
    fields.put(Known::XEnvoyUpstreamServiceTime, |value| {
        push_decimal(value, returned.service_ms);
    });
    if !fields.has(Known::Date) {
        fields.put(Known::Date, |value| value.extend_from_slice(returned.date));
    }
}

fn take_out(fields: &mut Fields, dropped: KnownSet) {
    if hop::names_some(fields) {
        return take_out_named(fields, dropped);
    }
    if fields.has_any(dropped) {
        fields.keep(|known, _| !dropped.contains(known));
    }
}

/// As [`take_out`], and what `Connection` names.
#[cold]
fn take_out_named(fields: &mut Fields, dropped: KnownSet) {
    let named = Named::by(fields);
    fields.keep(|known, name| {
        !dropped.contains(known) && (hop::is_beyond_connection(known) || !named.includes(name))
    });
}

#[inline(always)]
fn put_via(fields: &mut Fields, received: Version, name: &str) {
    fields.put_last(Known::Via, |value| {
        value.extend_from_slice(match received {
            Version::Http10 => b"1.0 ",
            Version::Http11 => b"1.1 ",
        });
        value.extend_from_slice(name.as_bytes());
    });
}

/// Fields that end at this hop and that an owner may write anew, so they are not only left unwritten.
const ENDS_HERE: KnownSet =
    KnownSet::of(&[Known::ProxyAuthenticate, Known::ProxyAuthorization, Known::Alias]);

#[cfg(test)]
mod tests;
