//! SETTINGS (RFC 9113, 6.5), ours and the peer's.

use super::error::Violation;
use super::frame::{self, Kind, StreamId};
use super::hpack::{Indexing, TABLE_SIZE_DEFAULT};
use super::window::{WINDOW_DEFAULT, WINDOW_MAX};

/// What we allow a peer. All of it is announced in our first frame, or held against it silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Streams that the peer may have open at a time; those that it reset count until they are released. Default 100.
    pub streams: u32,
    /// Bytes of one stream's content that may be unconsumed. Default 64 KiB; at most 2^31 - 1.
    pub stream_window: u32,
    /// Bytes of all streams' content that may be unconsumed. Default 1 MiB; at least 65,535, at most 2^31 - 1.
    pub connection_window: u32,
    /// The decoder's table. Default 4 KiB.
    pub table_size: u32,
    /// A head's size, each field counted with 32 more bytes; also of a head's compressed form. Default 60 KiB.
    pub head_bytes: u32,
    /// Fields of a head. Default 100.
    pub fields: u32,
    /// As `head_bytes`, of trailers. Default 8 KiB.
    pub trailer_bytes: u32,
    /// Whether clients may ask for a protocol with CONNECT (RFC 8441).
    pub connect_protocol: bool,
    /// What our encoder does.
    pub indexing: Indexing,
    /// Bytes of output that are not sent yet, above which nothing is read. Default 64 KiB.
    pub output_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            table_size: TABLE_SIZE_DEFAULT,
            head_bytes: 60 * 1024,
            fields: 100,
            trailer_bytes: 8 * 1024,
            connect_protocol: false,
            indexing: Indexing::Static,
            output_bytes: 64 * 1024,
        }
    }
}

impl Config {
    /// Appends our SETTINGS.
    pub(super) fn write(&self, out: &mut Vec<u8>, is_server: bool) {
        let all: [(u16, u32, bool); 7] = [
            (
                HEADER_TABLE_SIZE,
                self.table_size,
                self.table_size != TABLE_SIZE_DEFAULT,
            ),
            (ENABLE_PUSH, 0, !is_server),
            (MAX_CONCURRENT_STREAMS, self.streams, is_server),
            (
                INITIAL_WINDOW_SIZE,
                self.stream_window,
                self.stream_window != WINDOW_DEFAULT,
            ),
            (MAX_HEADER_LIST_SIZE, self.head_bytes, true),
            (ENABLE_CONNECT_PROTOCOL, 1, is_server && self.connect_protocol),
            (NO_RFC7540_PRIORITIES, 1, is_server),
        ];
        let said = all.iter().filter(|(.., said)| *said);
        let header = frame::FrameHeader {
            len: said.clone().count() * SETTING_LEN,
            kind: Kind::Settings,
            flags: 0,
            stream: StreamId::CONNECTION,
        };
        out.extend_from_slice(&header.bytes());
        for (name, value, _) in said {
            out.extend_from_slice(&name.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// What the peer allows us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// Its decoder's table, in bytes.
    pub table_size: u32,
    /// Streams that we may have open at a time.
    pub streams: u32,
    /// What each stream's window begins with, in bytes.
    pub stream_window: u32,
    /// A frame's payload, in bytes.
    pub frame_bytes: u32,
    /// A head's size, as it says; no bound of ours is lower.
    pub head_bytes: u32,
    /// Whether it takes CONNECT with a protocol.
    pub connect_protocol: bool,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            table_size: TABLE_SIZE_DEFAULT,
            streams: STREAMS_ASSUMED,
            stream_window: WINDOW_DEFAULT,
            frame_bytes: FRAME_BYTES_DEFAULT as u32,
            head_bytes: u32::MAX,
            connect_protocol: false,
        }
    }
}

impl PeerSettings {
    /// Takes in a payload whose length is a multiple of [`SETTING_LEN`].
    pub(super) fn take_in(&mut self, payload: &[u8], from_client: bool) -> Result<(), Violation> {
        for setting in payload.chunks_exact(SETTING_LEN) {
            let value = frame::number(&setting[2..]);
            match u16::from_be_bytes([setting[0], setting[1]]) {
                HEADER_TABLE_SIZE => self.table_size = value,
                // A server that says it pushes, or anything but 0 and 1, breaks the protocol.
                ENABLE_PUSH if value > u32::from(from_client) => return Err(Violation::BadSetting),
                MAX_CONCURRENT_STREAMS => self.streams = value,
                INITIAL_WINDOW_SIZE if value > WINDOW_MAX => return Err(Violation::WindowSetting),
                INITIAL_WINDOW_SIZE => self.stream_window = value,
                MAX_FRAME_SIZE if !(FRAME_BYTES_DEFAULT as u32..=FRAME_BYTES_MAX).contains(&value) => {
                    return Err(Violation::BadSetting);
                }
                MAX_FRAME_SIZE => self.frame_bytes = value,
                MAX_HEADER_LIST_SIZE => self.head_bytes = value,
                // RFC 8441, 3: it is 0 or 1, and is not taken back.
                ENABLE_CONNECT_PROTOCOL if value > 1 || self.connect_protocol && value == 0 => {
                    return Err(Violation::BadSetting);
                }
                ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
                NO_RFC7540_PRIORITIES if value > 1 => return Err(Violation::BadSetting),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Bytes of one setting.
pub(super) const SETTING_LEN: usize = 6;
/// The payload that every peer takes, and the largest that we take: larger frames only keep others waiting.
pub(super) const FRAME_BYTES_DEFAULT: usize = 16_384;
const FRAME_BYTES_MAX: u32 = (1 << 24) - 1;
/// What RFC 9113, 6.5.2 wants every peer to allow at least, assumed of one whose settings have not come.
const STREAMS_ASSUMED: u32 = 100;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// RFC 8441, 3.
const ENABLE_CONNECT_PROTOCOL: u16 = 8;
/// RFC 9218, 2.1.
const NO_RFC7540_PRIORITIES: u16 = 9;
