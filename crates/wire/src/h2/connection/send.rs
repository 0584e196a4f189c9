//! What we send.

use super::super::settings::FRAME_BYTES_DEFAULT;
use super::*;
use crate::field::{Known, KnownSet};
use crate::h1::framing::is_always_bodiless;
use crate::hop::{HOP_BY_HOP, accepts_trailers};
use crate::message::Size;
use crate::shown_by_its_sentence;

/// Why something was not sent. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The stream is released, reset by either side, or unknown.
    StreamGone,
    /// The message is not at a point where this can follow.
    WrongState,
    /// The peer has said GOAWAY, or we have: no stream may be opened.
    Leaving,
    /// The peer takes no more streams at a time.
    NoRoom,
    /// All numbers of streams are used.
    NoMoreStreams,
    /// The peer does not take CONNECT with a protocol (RFC 8441, 3).
    NoConnectProtocol,
}

impl SendError {
    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::StreamGone => "The stream is over.",
            Self::WrongState => "This cannot follow what was sent on the stream.",
            Self::Leaving => "The connection takes no new streams.",
            Self::NoRoom => "The peer takes no more streams at a time.",
            Self::NoMoreStreams => "All stream numbers of the connection are used.",
            Self::NoConnectProtocol => "The peer does not take CONNECT with a protocol.",
        }
    }
}

shown_by_its_sentence!(SendError);

/// A request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its stream.
    pub stream: StreamId,
    /// Where in the byte stream of the connection the byte after its head lies: a peer that acknowledged less has
    /// not received the request.
    pub head_end: u64,
}

impl Connection {
    /// How many more streams the peer takes now; 0 once either side has said GOAWAY.
    #[must_use]
    pub fn room(&self) -> u32 {
        if self.role == Role::Server || self.peer_last.is_some() || matches!(self.leaving, Leaving::Left(_)) {
            return 0;
        }
        let used = u32::try_from(self.streams.counted()).unwrap_or(u32::MAX);
        self.peer.streams.saturating_sub(used)
    }

    /// Opens a stream with a request's head; `end` if it has no content.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_request(
        &mut self,
        head: &RequestHead,
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<Sent, SendError> {
        if self.role == Role::Server {
            return Err(SendError::WrongState);
        }
        if self.peer_last.is_some() || matches!(self.leaving, Leaving::Left(_)) {
            return Err(SendError::Leaving);
        }
        if self.room() == 0 {
            return Err(SendError::NoRoom);
        }
        let id = self.next;
        if id > StreamId::MAX {
            return Err(SendError::NoMoreStreams);
        }
        if head.protocol().is_some() && !self.peer.connect_protocol {
            return Err(SendError::NoConnectProtocol);
        }
        self.next = StreamId(id.0 + 2);
        let mut stream = self.new_stream(id, head.method);
        stream.send = if end { Half::Ended } else { Half::Body };
        self.streams.add(stream);
        self.send_block(id, end, out, |encoder, out| {
            let pseudo = [
                (":method", Some(head.method_text())),
                (":scheme", head.scheme.map(crate::message::Scheme::text)),
                (":authority", Some(head.authority())),
                (":path", Some(head.path()).filter(|path| !path.is_empty())),
                (":protocol", head.protocol()),
            ];
            for (name, value) in pseudo {
                if let Some(value) = value {
                    encoder.field(out, name.as_bytes(), value.as_bytes(), head.never_indexed);
                }
            }
            send_fields(encoder, out, &head.fields, Some(head.size), head.never_indexed);
            if accepts_trailers(&head.fields) {
                encoder.field(out, b"te", b"trailers", false);
            }
        });
        Ok(Sent {
            stream: id,
            head_end: self.written,
        })
    }

    /// Sends a response's head, interim or final; `end` if it has no content. Returns where in the byte stream the
    /// byte after it lies.
    ///
    /// # Errors
    /// [`SendError::StreamGone`]; [`SendError::WrongState`] after a final head, and of an interim one that ends.
    pub fn send_response(
        &mut self,
        id: StreamId,
        head: &ResponseHead,
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<u64, SendError> {
        let stream = self.sendable(id)?;
        let is_interim = head.status < 200;
        if stream.send != Half::Head || is_interim && end {
            return Err(SendError::WrongState);
        }
        if !is_interim {
            stream.send = if end { Half::Ended } else { Half::Body };
        }
        let tells_length = head.size == Size::None && !is_always_bodiless(head.status);
        let size = (!tells_length).then_some(head.size);
        self.send_block(id, end, out, |encoder, out| {
            let [a, b, c] = [head.status / 100, head.status / 10 % 10, head.status % 10];
            let digits = [a, b, c].map(|digit| b'0' + digit as u8);
            encoder.field(out, b":status", &digits, false);
            send_fields(encoder, out, &head.fields, size, head.never_indexed);
        });
        Ok(self.written)
    }

    /// Begins a DATA frame for as much of `available` bytes as windows and frames allow, and returns how much: that
    /// many bytes of content must be appended to `out`, or be sent right behind it, before anything else. `end`
    /// if the message ends with the available bytes; it does when all of them were taken. 0 of some: wait for
    /// [`Event::WindowOpened`].
    ///
    /// # Errors
    /// [`SendError::StreamGone`]; [`SendError::WrongState`] before the head or after the end.
    pub fn send_data(
        &mut self,
        id: StreamId,
        available: usize,
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<usize, SendError> {
        let most = self.send_window.open().min(self.frame_bytes());
        let stream = self.sendable(id)?;
        if stream.send != Half::Body {
            return Err(SendError::WrongState);
        }
        let len = available.min(stream.send_window.open()).min(most);
        let end = end && len == available;
        if len == 0 && !end {
            return Ok(0);
        }
        stream.send_window.on_sent(len);
        if end {
            stream.send = Half::Ended;
        }
        self.send_window.on_sent(len);
        let header = FrameHeader {
            len,
            kind: Kind::Data,
            flags: if end { flag::END_STREAM } else { 0 },
            stream: id,
        };
        out.extend_from_slice(&header.bytes());
        self.written += (FrameHeader::LEN + len) as u64;
        Ok(len)
    }

    /// How many bytes of a stream's content may be sent now; 0 if the stream is over.
    #[must_use]
    pub fn open_window(&self, id: StreamId) -> usize {
        let stream = self.streams.get(id).filter(|stream| stream.reset == Reset::No);
        stream.map_or(0, |stream| stream.send_window.open().min(self.send_window.open()))
    }

    /// Ends a message with trailers.
    ///
    /// # Errors
    /// [`SendError::StreamGone`]; [`SendError::WrongState`] before the head or after the end.
    pub fn send_trailers(
        &mut self,
        id: StreamId,
        trailers: &Fields,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let stream = self.sendable(id)?;
        if stream.send != Half::Body {
            return Err(SendError::WrongState);
        }
        stream.send = Half::Ended;
        self.send_block(id, true, out, |encoder, out| {
            send_fields(encoder, out, trailers, None, false);
        });
        Ok(())
    }

    /// Content of a stream was consumed: gives credit back to stream and connection, in halves of their windows.
    pub fn consume(&mut self, id: StreamId, bytes: usize, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(id) else {
            // What was left was given back when the stream was released.
            return;
        };
        let bytes = bytes.min(stream.unconsumed);
        stream.unconsumed -= bytes;
        self.counted(out, |connection, out| connection.give_back(id, bytes, false, out));
    }

    /// Resets a stream. It counts until it is released.
    pub fn reset(&mut self, id: StreamId, code: ErrorCode, out: &mut Vec<u8>) {
        let stream = self.streams.get_mut(id);
        let Some(stream) = stream.filter(|stream| !stream.is_over()) else {
            return;
        };
        stream.reset = Reset::ByUs;
        self.counted(out, |_, out| frame::write_reset(out, id, code));
    }

    /// Forgets a stream: to be called once for each, when nothing works on it any more. If it is not over, it is
    /// reset: a client that has its whole response is asked to stop sending (RFC 9113, 8.1), anything else is
    /// cancelled.
    pub fn release(&mut self, id: StreamId, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get(id) else {
            return;
        };
        let code = match (self.role, stream.send) {
            (Role::Server, Half::Ended) => ErrorCode::NO_ERROR,
            _ => ErrorCode::CANCEL,
        };
        let unconsumed = stream.unconsumed;
        self.reset(id, code, out);
        self.streams.remove(id);
        self.counted(out, |connection, out| {
            connection.credit_connection(unconsumed, out)
        });
    }

    /// Appends a PING; its answer is [`Event::Pong`].
    pub fn ping(&mut self, payload: [u8; 8], out: &mut Vec<u8>) {
        self.counted(out, |_, out| {
            frame::write(out, Kind::Ping, 0, StreamId::CONNECTION, &payload)
        });
    }

    /// Begins to leave, in two steps: a GOAWAY that takes all streams still, and a PING; when that is answered, all
    /// that the peer sent before it knew has come, a second GOAWAY names the last stream, and [`Event::Drained`] is
    /// told. Does nothing once one has been said.
    pub fn drain(&mut self, out: &mut Vec<u8>) {
        if self.leaving != Leaving::No {
            return;
        }
        self.leaving = Leaving::Announced;
        self.counted(out, |_, out| {
            frame::write_go_away(out, StreamId::MAX, ErrorCode::NO_ERROR);
            frame::write(out, Kind::Ping, 0, StreamId::CONNECTION, control::DRAIN);
        });
    }

    /// Appends the last GOAWAY: streams that came are served, later ones are not.
    pub fn close(&mut self, code: ErrorCode, out: &mut Vec<u8>) {
        self.counted(out, |connection, out| connection.leave(code, out));
    }

    fn sendable(&mut self, id: StreamId) -> Result<&mut Stream, SendError> {
        let stream = self.streams.get_mut(id).ok_or(SendError::StreamGone)?;
        if stream.reset == Reset::No {
            Ok(stream)
        } else {
            Err(SendError::StreamGone)
        }
    }

    /// Appends a header block that `write` writes.
    fn send_block(
        &mut self,
        id: StreamId,
        end: bool,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) {
        let most = self.frame_bytes();
        self.counted(out, |connection, out| {
            let start = out.len();
            out.extend_from_slice(&[0; FrameHeader::LEN]);
            connection.encoder.begin(out);
            write(&mut connection.encoder, out);
            frame::frame_block(out, start, id, end, most);
        });
    }

    /// What a frame of ours holds at most. Larger ones that a peer may allow would only keep other streams waiting.
    fn frame_bytes(&self) -> usize {
        FRAME_BYTES_DEFAULT.min(self.peer.frame_bytes as usize)
    }
}

/// Encodes fields, but for those of one connection and those that are pseudo fields here. `size`: the length is
/// stated from it; without, what the fields say of it goes along.
fn send_fields(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    fields: &Fields,
    size: Option<Size>,
    never_indexed: bool,
) {
    let mut dropped = OURS;
    if size.is_some() {
        dropped.insert(Known::ContentLength);
    }
    for (known, name, value) in fields.iter() {
        if !dropped.contains(known) {
            encoder.field(out, name, value, never_indexed);
        }
    }
    if let Some(Size::Known(length)) = size {
        let (digits, start) = decimal(length);
        encoder.field(out, b"content-length", &digits[start..], false);
    }
}

/// A number's digits, and where they begin.
fn decimal(mut number: u64) -> ([u8; 20], usize) {
    let (mut digits, mut start) = ([b'0'; 20], 20);
    while start == 20 || number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    (digits, start)
}

/// Fields that are never copied. Those for proxies are taken out before an owner may write them anew.
const OURS: KnownSet = {
    let mut set = HOP_BY_HOP;
    set.remove(Known::ProxyAuthenticate);
    set.remove(Known::ProxyAuthorization);
    set.insert(Known::Host);
    set
};
