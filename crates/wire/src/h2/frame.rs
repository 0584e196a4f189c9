//! Frames (RFC 9113, 4 and 6): their headers read and written, and those whole that we send.

use std::fmt;

/// A stream's number: odd if the client opened it. 0 is the connection and no stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(super) u32);

impl StreamId {
    /// The connection.
    pub(super) const CONNECTION: Self = Self(0);
    /// The largest there is.
    pub(super) const MAX: Self = Self(u32::MAX >> 1);

    /// Its number, at most 2^31 - 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a stream or connection is ended (RFC 9113, 7). Any number may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

#[allow(missing_docs, reason = "each is the code that it is named after")]
impl ErrorCode {
    pub const NO_ERROR: Self = Self(0);
    pub const PROTOCOL_ERROR: Self = Self(1);
    pub const INTERNAL_ERROR: Self = Self(2);
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    pub const STREAM_CLOSED: Self = Self(5);
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    pub const REFUSED_STREAM: Self = Self(7);
    pub const CANCEL: Self = Self(8);
    pub const COMPRESSION_ERROR: Self = Self(9);
    pub const CONNECT_ERROR: Self = Self(10);
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    pub const INADEQUATE_SECURITY: Self = Self(12);
    pub const HTTP_1_1_REQUIRED: Self = Self(13);

    /// The name that the RFC gives it; empty for others.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self.0 as usize).copied().unwrap_or_default()
    }
}

const NAMES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// A frame's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// RFC 9218, 7.1.
    PriorityUpdate,
    /// One that we do not know, and skip (RFC 9113, 5.5).
    Unknown,
}

impl Kind {
    const fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            0x10 => Self::PriorityUpdate,
            _ => Self::Unknown,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::RstStream => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation => 9,
            Self::PriorityUpdate => 0x10,
            Self::Unknown => 0xff,
        }
    }
}

/// A frame's flags; what a bit means depends on its type.
pub(super) mod flag {
    pub(in super::super) const END_STREAM: u8 = 1;
    pub(in super::super) const ACK: u8 = 1;
    pub(in super::super) const END_HEADERS: u8 = 4;
    pub(in super::super) const PADDED: u8 = 8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// The nine bytes before each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of payload.
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: StreamId,
}

impl FrameHeader {
    pub(super) const LEN: usize = 9;

    /// The header at the start of `input`, if it is whole.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, ref stream @ ..] = input.first_chunk::<9>()?;
        Some(Self {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: Kind::of(kind),
            flags,
            stream: stream_id(*stream),
        })
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The header as it is sent.
    pub(super) const fn bytes(&self) -> [u8; Self::LEN] {
        let [_, a, b, c] = (self.len as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.0.to_be_bytes();
        [a, b, c, self.kind.byte(), self.flags, d, e, f, g]
    }
}

/// A stream's number in a frame; the highest bit says nothing (RFC 9113, 4.1).
pub(super) const fn stream_id(bytes: [u8; 4]) -> StreamId {
    StreamId(u32::from_be_bytes(bytes) & StreamId::MAX.0)
}

/// The number at the start of a payload that is known to be long enough; 0 if it is not.
pub(super) fn number(payload: &[u8]) -> u32 {
    payload
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Appends a frame with a short payload.
pub(super) fn write(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: StreamId, payload: &[u8]) {
    let header = FrameHeader {
        len: payload.len(),
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&header.bytes());
    out.extend_from_slice(payload);
}

/// Appends a WINDOW_UPDATE. The increment must lie in 1..2^31 (debug-asserted).
pub(super) fn write_window_update(out: &mut Vec<u8>, stream: StreamId, increment: u32) {
    debug_assert!(increment > 0 && increment <= StreamId::MAX.0, "{increment}");
    write(out, Kind::WindowUpdate, 0, stream, &increment.to_be_bytes());
}

/// Appends a RST_STREAM.
pub(super) fn write_reset(out: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
    write(out, Kind::RstStream, 0, stream, &code.0.to_be_bytes());
}

/// Appends a GOAWAY without debug data.
pub(super) fn write_go_away(out: &mut Vec<u8>, last: StreamId, code: ErrorCode) {
    let [a, b, c, d] = last.0.to_be_bytes();
    let [e, f, g, h] = code.0.to_be_bytes();
    write(
        out,
        Kind::GoAway,
        0,
        StreamId::CONNECTION,
        &[a, b, c, d, e, f, g, h],
    );
}

/// Makes frames of at most `most` bytes each of a header block that ends `out` and begins at `start`, where a
/// frame header's room precedes it.
pub(super) fn frame_block(out: &mut Vec<u8>, start: usize, stream: StreamId, end_stream: bool, most: usize) {
    let block = start + FrameHeader::LEN;
    let len = out.len() - block;
    let frames = len.div_ceil(most).max(1);
    // Later frames need room for their headers, so their payloads move up, the last one first.
    out.resize(out.len() + (frames - 1) * FrameHeader::LEN, 0);
    for index in (0..frames).rev() {
        let from = block + index * most;
        let payload = most.min(len - index * most);
        let to = from + index * FrameHeader::LEN;
        out.copy_within(from..from + payload, to);
        let is_last = index == frames - 1;
        let end_headers = if is_last { flag::END_HEADERS } else { 0 };
        let (kind, flags) = if index == 0 {
            let end_stream = if end_stream { flag::END_STREAM } else { 0 };
            (Kind::Headers, end_headers | end_stream)
        } else {
            (Kind::Continuation, end_headers)
        };
        let header = FrameHeader {
            len: payload,
            kind,
            flags,
            stream,
        };
        out[to - FrameHeader::LEN..to].copy_from_slice(&header.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = FrameHeader {
            len: 0x01_02_03,
            kind: Kind::Headers,
            flags: flag::END_HEADERS | flag::END_STREAM,
            stream: StreamId(0x7fff_fffe),
        };
        let mut bytes = header.bytes();
        assert_eq!(FrameHeader::read(&bytes), Some(header));
        bytes[5] |= 0x80;
        assert_eq!(
            FrameHeader::read(&bytes),
            Some(header),
            "the reserved bit is ignored"
        );
        assert_eq!(FrameHeader::read(&bytes[..8]), None);
        for byte in 0..=255_u8 {
            let kind = Kind::of(byte);
            assert!(kind == Kind::Unknown || kind.byte() == byte);
        }
    }

    #[test]
    fn a_long_block_becomes_frames_that_hold_it_in_order() {
        for len in [0, 1, 9, 10, 11, 20, 95] {
            let block: Vec<u8> = (0..len).collect();
            let mut out = [&b"before"[..], &[0; FrameHeader::LEN], &block].concat();
            frame_block(&mut out, 6, StreamId(5), true, 10);
            let (mut rest, mut joined, mut count) = (&out[6..], Vec::new(), 0);
            while let Some(header) = FrameHeader::read(rest) {
                let payload = &rest[FrameHeader::LEN..][..header.len];
                joined.extend_from_slice(payload);
                rest = &rest[FrameHeader::LEN + header.len..];
                assert!(header.len <= 10 && header.stream == StreamId(5));
                assert_eq!(header.has(flag::END_HEADERS), rest.is_empty());
                let kind = if count == 0 {
                    Kind::Headers
                } else {
                    Kind::Continuation
                };
                assert_eq!(header.kind, kind);
                assert_eq!(header.has(flag::END_STREAM), count == 0);
                count += 1;
            }
            assert_eq!(joined, block);
            assert!(rest.is_empty() && out.starts_with(b"before"));
        }
    }
}
