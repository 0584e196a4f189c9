//! Heads, chunks and trailers -> bytes, for both roles. Messages are serialised anew: framing and
//! connection fields are never copied, they are stated by us from what was decided. What else ends at this
//! hop was taken out before ([`outbound`](crate::outbound)).

use super::framing::{BodyLength, is_always_bodiless};
use super::head::{RequestHead, ResponseHead};
use crate::field::{Fields, Known, KnownSet};
use crate::hop::{HOP_BY_HOP, accepts_trailers};
use crate::text::{push_decimal, two_digits};

/// How a head is written onward.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutboundHead {
    /// How the body that follows is framed; stated as `content-length`, `transfer-encoding: chunked`
    /// or not at all.
    pub body: BodyLength,
    /// What the `Connection` field says about the connection's end.
    pub persistence: Persistence,
    /// Whether the message's `Upgrade` field goes along.
    pub upgrade: Upgrade,
}

/// What `Connection` says about the connection's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// What the version says by itself.
    #[default]
    Nothing,
    /// `close`: this is the last message.
    Close,
    /// `keep-alive`, for HTTP/1.0 clients that asked for it.
    KeepAlive,
}

/// Whether an `Upgrade` field crosses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// It is dropped, as every hop-by-hop field.
    #[default]
    Drop,
    /// It crosses with `Connection: upgrade`: for a request that
    /// [`upgrade_request`](crate::hop::upgrade_request) found, and the 101 to it.
    Keep,
}

/// Appends a request's head, in one pass. The version is ours, HTTP/1.1 (RFC 9110, 2.5).
///
/// # Panics
/// If the body is [`BodyLength::UntilClose`]: no request is framed so.
pub fn request(out: &mut Vec<u8>, head: &RequestHead, outbound: &OutboundHead) {
    assert!(
        outbound.body != BodyLength::UntilClose,
        "a request's body never ends by a close"
    );
    out.reserve(head.fields.written_len() + FIXED_PARTS + head.line().len());
    out.extend_from_slice(head.line());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let trailers = accepts_trailers(&head.fields);
    write_fields(out, &head.fields, outbound, OURS);
    if trailers {
        // The one coding name that does not end at this hop: we pass trailers on.
        out.extend_from_slice(b"te: trailers\r\n");
    }
    write_connection(out, outbound, trailers);
    out.extend_from_slice(b"\r\n");
}

/// Appends a response's head, in one pass. The version is ours, HTTP/1.1, also to older clients.
///
/// With [`BodyLength::None`] the head's own `Content-Length` is kept, since it tells of the body that
/// a GET would have had (HEAD, 304); except on 1xx and 204, where no length may stand (RFC 9110, 8.6).
/// A response of our own without body states `Length(0)`. A 2xx to CONNECT may state none either:
/// remove it from the head before.
pub fn response(out: &mut Vec<u8>, head: &ResponseHead, outbound: &OutboundHead) {
    out.reserve(head.fields.written_len() + FIXED_PARTS + head.reason().len());
    let [b, c] = two_digits(u64::from(head.status % 100));
    let a = b'0' + (head.status / 100) as u8;
    out.extend_from_slice(&[
        b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', a, b, c, b' ',
    ]);
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    let tells_length = outbound.body == BodyLength::None && !is_always_bodiless(head.status);
    write_fields(
        out,
        &head.fields,
        outbound,
        if tells_length { OURS_BUT_LENGTH } else { OURS },
    );
    write_connection(out, outbound, false);
    out.extend_from_slice(b"\r\n");
}

/// Appends the first line of a chunk of `size` bytes, which must not be 0 (debug-asserted): that
/// would end the body. The data follows, then [`CHUNK_END`].
pub fn chunk_header(out: &mut Vec<u8>, size: u64) {
    debug_assert!(size > 0, "a chunk of no bytes ends the body");
    let digits = chunk_digits(size);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(size >> (4 * place)) as usize & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Bytes that the framing of a chunk of `size` bytes takes: its first line and [`CHUNK_END`].
#[must_use]
pub const fn chunk_framing(size: u64) -> u64 {
    chunk_digits(size) as u64 + 4
}

const fn chunk_digits(size: u64) -> u32 {
    let digits = (u64::BITS - size.leading_zeros()).div_ceil(4);
    if digits == 0 { 1 } else { digits }
}

/// Appends the last chunk and the trailer section.
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.reserve(trailers.written_len() + 5);
    out.extend_from_slice(b"0\r\n");
    trailers.write_where(out, |_| true);
    out.extend_from_slice(b"\r\n");
}

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

fn write_fields(out: &mut Vec<u8>, fields: &Fields, outbound: &OutboundHead, mut dropped: KnownSet) {
    if outbound.upgrade == Upgrade::Keep {
        dropped.remove(Known::Upgrade);
    }
    fields.write_where(out, |line| !dropped.contains(line.known));
    match outbound.body {
        BodyLength::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        BodyLength::None | BodyLength::UntilClose => {}
    }
}

/// The one `Connection` field; RFC 9110, 7.6.1 and 10.1.4 have it name `upgrade` and `te`.
#[inline]
fn write_connection(out: &mut Vec<u8>, outbound: &OutboundHead, te: bool) {
    if outbound.persistence != Persistence::Nothing || outbound.upgrade != Upgrade::Drop || te {
        write_options(out, outbound, te);
    }
}

fn write_options(out: &mut Vec<u8>, outbound: &OutboundHead, te: bool) {
    let options: [(bool, &[u8]); 4] = [
        (outbound.persistence == Persistence::Close, b"close"),
        (outbound.persistence == Persistence::KeepAlive, b"keep-alive"),
        (outbound.upgrade == Upgrade::Keep, b"upgrade"),
        (te, b"te"),
    ];
    let mut before: &[u8] = b"connection: ";
    for (_, option) in options.into_iter().filter(|(said, _)| *said) {
        out.extend_from_slice(before);
        out.extend_from_slice(option);
        before = b", ";
    }
    out.extend_from_slice(b"\r\n");
}

/// Fields that are never copied: those of the connection, and the framing that we state.
const OURS: KnownSet = {
    let mut set = OURS_BUT_LENGTH;
    set.insert(Known::ContentLength);
    set
};
/// Without those for proxies, which are taken out before an owner may write them anew.
const OURS_BUT_LENGTH: KnownSet = {
    let mut set = HOP_BY_HOP;
    set.remove(Known::ProxyAuthenticate);
    set.remove(Known::ProxyAuthorization);
    set
};
/// Start line without its variable parts, framing and connection fields, at their longest.
const FIXED_PARTS: usize = 128;

#[cfg(test)]
mod tests;
