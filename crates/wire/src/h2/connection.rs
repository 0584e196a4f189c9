//! A connection, in either role: bytes in, events out; commands in, bytes out.

mod block;
mod content;
mod control;
mod send;
#[cfg(test)]
mod tests;

use super::error::{StreamError, Violation};
use super::event::{Cost, Event, Step};
use super::frame::{self, ErrorCode, FrameHeader, Kind, StreamId, flag};
use super::head::Texts;
use super::hpack::{Decoder, Encoder, Strings};
use super::settings::{Config, FRAME_BYTES_DEFAULT, PeerSettings};
use super::stream::{Half, Reset, Stream, Streams};
use super::window::{ReceiveWindow, SendWindow, WINDOW_DEFAULT};
use crate::field::Fields;
use crate::message::{Method, RequestHead, ResponseHead};

pub use send::{SendError, Sent};

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The peer is a client.
    Server,
    /// The peer is a server.
    Client,
}

/// What is decoded, and memory that decoding needs: one thread lends it to all its connections. Heads may be swapped
/// for others, so that they need not be copied.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// The head of the last [`Event::Request`].
    pub request: RequestHead,
    /// The head of the last [`Event::Response`] or [`Event::Interim`].
    pub response: ResponseHead,
    /// The fields of the last [`Event::Trailers`].
    pub trailers: Fields,
    texts: Texts,
    strings: Strings,
}

/// One end of an HTTP/2 connection.
#[derive(Clone, Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    reading: Reading,
    decoder: Decoder,
    encoder: Encoder,
    streams: Streams,
    peer: PeerSettings,
    peer_settings_came: bool,
    /// The peer knows our settings.
    settings_acknowledged: bool,
    send_window: SendWindow,
    receive_window: ReceiveWindow,
    /// Parts of a header block whose end has not come. Empty otherwise, and without memory.
    block: Vec<u8>,
    /// The highest number of a stream that the peer has opened.
    highest: StreamId,
    /// The number of the stream that we open next.
    next: StreamId,
    leaving: Leaving,
    /// The lowest that the peer's GOAWAY have said.
    peer_last: Option<StreamId>,
    /// Bytes of output so far.
    written: u64,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The rest of a client's preface.
    Preface { matched: usize },
    /// A frame.
    Frame,
    /// The rest of a DATA frame: content, then padding.
    Data {
        stream: StreamId,
        left: usize,
        padding: usize,
        end: bool,
    },
    /// The rest of a payload that means nothing.
    Skip { left: usize },
    /// A CONTINUATION of a block.
    Block(Block),
    /// Nothing: the peer broke the protocol.
    Failed(Violation),
}

/// A header block that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    stream: StreamId,
    end_stream: bool,
    depends_on_itself: bool,
    continuations: u8,
}

/// How far we are in leaving (RFC 9113, 6.8).
///
/// ```text
///   No --drain--> Announced (GOAWAY of the highest number, PING) --its answer--> Left (GOAWAY of the last one)
///    `--------------------------------close, or a violation-----------------------^
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Announced,
    /// No stream above this one is taken.
    Left(StreamId),
}

impl Connection {
    /// Our end of a connection from a client, whose first bytes are the preface. Appends our settings.
    #[must_use]
    pub fn server(config: Config, out: &mut Vec<u8>) -> Self {
        Self::new(Role::Server, config, out)
    }

    /// Our end of a connection to a server. Appends the preface and our settings; requests may follow at once.
    #[must_use]
    pub fn client(config: Config, out: &mut Vec<u8>) -> Self {
        Self::new(Role::Client, config, out)
    }

    fn new(role: Role, config: Config, out: &mut Vec<u8>) -> Self {
        let mut connection = Self {
            role,
            config,
            reading: match role {
                Role::Server => Reading::Preface { matched: 0 },
                Role::Client => Reading::Frame,
            },
            decoder: Decoder::new(),
            encoder: Encoder::new(config.indexing),
            streams: Streams::default(),
            peer: PeerSettings::default(),
            peer_settings_came: false,
            settings_acknowledged: false,
            send_window: SendWindow::new(WINDOW_DEFAULT),
            receive_window: ReceiveWindow::new(WINDOW_DEFAULT),
            block: Vec::new(),
            highest: StreamId::CONNECTION,
            next: StreamId(1),
            leaving: Leaving::No,
            peer_last: None,
            written: 0,
        };
        connection.counted(out, |connection, out| {
            if role == Role::Client {
                out.extend_from_slice(PREFACE);
            }
            config.write(out, role == Role::Server);
            let more = config.connection_window.saturating_sub(WINDOW_DEFAULT);
            if more > 0 {
                connection.receive_window.change(i64::from(more));
                frame::write_window_update(out, StreamId::CONNECTION, more);
            }
        });
        connection
    }

    /// Takes the first frame, or part of one, out of `input`: all bytes that were received and not taken yet. Call
    /// it again with the rest until it takes nothing; what is not taken is at most a frame of 16 KiB and must stand
    /// in front of what comes next. Answers that the protocol asks for are appended to `out`, which must hold all
    /// that was not sent yet: while that is more than [`Config::output_bytes`], nothing is taken.
    ///
    /// # Errors
    /// The peer broke the protocol: a GOAWAY that says so is in `out`, to be sent before the connection is closed.
    pub fn next(
        &mut self,
        input: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        if out.len() > self.config.output_bytes {
            return Ok(Step::WAIT);
        }
        self.counted(out, |connection, out| {
            let step = connection.step(input, scratch, out);
            if let Err(violation) = step {
                connection.fail(violation, out);
            }
            step
        })
    }

    /// What the peer allows us.
    #[must_use]
    pub const fn peer(&self) -> &PeerSettings {
        &self.peer
    }

    /// Bytes appended to `out` so far, content that callers appended included: an offset in the byte stream.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Streams that are not released.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The numbers of the streams that are not released, above this one.
    pub fn streams_above(&self, last: StreamId) -> impl Iterator<Item = StreamId> {
        let ids = self.streams.iter().map(|stream| stream.id);
        ids.filter(move |&id| id > last)
    }

    /// How urgent a stream's response is to its client.
    #[must_use]
    pub fn priority(&self, stream: StreamId) -> super::Priority {
        let stream = self.streams.get(stream);
        stream.map(|stream| stream.priority).unwrap_or_default()
    }

    /// Gives memory back that an idle connection does not need.
    pub fn shrink(&mut self) {
        self.decoder.shrink();
        self.encoder.shrink();
        self.streams.shrink();
    }

    fn step(&mut self, input: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<Step, Violation> {
        match self.reading {
            Reading::Failed(violation) => Err(violation),
            Reading::Preface { matched } => self.preface(input, matched),
            Reading::Skip { left } => {
                let taken = left.min(input.len());
                self.reading = skip(left - taken);
                Ok(Step::silent(taken))
            }
            Reading::Data {
                stream,
                left,
                padding,
                end,
            } => Ok(self.content(input, 0, stream, left, padding, end)),
            Reading::Frame | Reading::Block(_) => {
                let Some(header) = FrameHeader::read(input) else {
                    return Ok(Step::WAIT);
                };
                self.check(&header)?;
                self.frame(&header, &input[FrameHeader::LEN..], scratch, out)
            }
        }
    }

    /// What can be said of a frame before its payload is there.
    fn check(&mut self, header: &FrameHeader) -> Result<(), Violation> {
        if !self.peer_settings_came && (header.kind != Kind::Settings || header.has(flag::ACK)) {
            return Err(Violation::BadPreface);
        }
        if header.len > FRAME_BYTES_DEFAULT {
            return Err(Violation::FrameTooLarge);
        }
        match self.reading {
            Reading::Block(block) if header.kind == Kind::Continuation && header.stream == block.stream => {}
            Reading::Block(_) => return Err(Violation::BlockInterrupted),
            _ if header.kind == Kind::Continuation => return Err(Violation::BlockInterrupted),
            _ => {}
        }
        let on_connection = header.stream == StreamId::CONNECTION;
        match header.kind {
            Kind::Data | Kind::Headers | Kind::Priority | Kind::RstStream | Kind::Continuation
                if on_connection =>
            {
                Err(Violation::BadStreamId)
            }
            Kind::Settings | Kind::Ping | Kind::GoAway | Kind::PriorityUpdate if !on_connection => {
                Err(Violation::BadStreamId)
            }
            Kind::PushPromise => Err(Violation::Push),
            Kind::Priority if header.len != 5 => Err(Violation::BadFrameSize),
            Kind::RstStream | Kind::WindowUpdate if header.len != 4 => Err(Violation::BadFrameSize),
            Kind::Ping if header.len != 8 => Err(Violation::BadFrameSize),
            Kind::GoAway if header.len < 8 => Err(Violation::BadFrameSize),
            Kind::PriorityUpdate if header.len < 4 => Err(Violation::BadFrameSize),
            _ => Ok(()),
        }
    }

    fn frame(
        &mut self,
        header: &FrameHeader,
        rest: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        match header.kind {
            Kind::Data => return self.data(header, rest, out),
            Kind::Unknown => {
                self.reading = skip(header.len);
                return Ok(Step::silent(FrameHeader::LEN).at_cost(Cost::Unknown));
            }
            _ => {}
        }
        // All others are taken whole.
        let Some(payload) = rest.get(..header.len) else {
            return Ok(Step::WAIT);
        };
        let mut step = match header.kind {
            Kind::Headers => self.headers(header, payload, scratch, out),
            Kind::Continuation => self.continuation(header, payload, scratch, out),
            _ => self.control(header, payload, out),
        }?;
        step.taken = FrameHeader::LEN + header.len;
        Ok(step)
    }

    fn preface(&mut self, input: &[u8], matched: usize) -> Result<Step, Violation> {
        let rest = &PREFACE[matched..];
        let taken = rest.len().min(input.len());
        if input[..taken] != rest[..taken] {
            return Err(Violation::BadPreface);
        }
        self.reading = if taken == rest.len() {
            Reading::Frame
        } else {
            Reading::Preface {
                matched: matched + taken,
            }
        };
        Ok(Step::silent(taken))
    }

    /// Counts what `act` appends.
    fn counted<T>(&mut self, out: &mut Vec<u8>, act: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        let before = out.len();
        let result = act(self, out);
        self.written += (out.len() - before) as u64;
        result
    }

    fn fail(&mut self, violation: Violation, out: &mut Vec<u8>) {
        if self.reading != Reading::Failed(violation) {
            self.reading = Reading::Failed(violation);
            self.leaving = Leaving::Left(self.highest);
            frame::write_go_away(out, self.highest, violation.code());
        }
    }

    /// Whether nobody has opened a stream of this number (RFC 9113, 5.1: idle).
    fn is_idle(&self, stream: StreamId) -> bool {
        let is_clients = stream.0 % 2 == 1;
        match self.role {
            Role::Server => !is_clients || stream > self.highest,
            Role::Client => !is_clients || stream >= self.next,
        }
    }

    /// Resets a stream for what came on it.
    fn break_stream(&mut self, id: StreamId, why: StreamError, out: &mut Vec<u8>) -> Step {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.reset = Reset::ByUs;
        } else {
            self.streams.over.note(id, false);
        }
        frame::write_reset(out, id, why.code());
        Step::told(0, Event::Broken { stream: id, why }).at_cost(Cost::OwnReset)
    }

    /// Gives credit back for bytes that nobody will consume.
    fn credit_connection(&mut self, bytes: usize, out: &mut Vec<u8>) {
        let size = self.config.connection_window.max(WINDOW_DEFAULT);
        if let Some(credit) = self.receive_window.on_consumed(bytes, size) {
            frame::write_window_update(out, StreamId::CONNECTION, credit);
        }
    }

    /// A stream that begins, with one message's head.
    fn new_stream(&self, id: StreamId, method: Method) -> Stream {
        let window = if self.settings_acknowledged {
            self.config.stream_window
        } else {
            WINDOW_DEFAULT
        };
        Stream {
            id,
            receive: Half::Head,
            send: Half::Head,
            reset: Reset::No,
            method,
            interims: 0,
            priority: super::Priority::default(),
            send_window: SendWindow::new(self.peer.stream_window),
            receive_window: ReceiveWindow::new(window),
            unconsumed: 0,
            left: None,
        }
    }
}

const fn skip(left: usize) -> Reading {
    if left == 0 {
        Reading::Frame
    } else {
        Reading::Skip { left }
    }
}

/// What a client sends first (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
