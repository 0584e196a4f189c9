//! Bytes -> data, trailers, end: a body's decoder, resumable at any byte.

mod passing;

use std::ops::Range;

use memchr::memchr;

use super::extension::ExtensionPart;
use super::framing::{BodyLength, LENGTH_MAX};
use super::head::{HeadError, Limits};
use super::section::{FieldLine, field_line};
use crate::field::Fields;
use crate::hop::{Named, TrailerFate, trailer_fate};
use crate::known::Known;
use crate::shown_by_its_sentence;

pub use passing::{Boundary, Run};

/// Decodes one body. Feed it what came; what it consumed need not be kept.
///
/// ```text
/// Length ----------------------------------------------------------------------> Ended
/// Size -> [Extension ->] SizeLf -> Chunk -> ChunkCr -> ChunkLf -> Size ...
///                              `-> Trailers -----------------------------------> Ended
/// UntilClose (only the peer's close ends it)
/// ```
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    /// The chunk size read so far, while in the chunk's first line.
    size: u64,
    /// Body bytes handed out.
    data: u64,
    /// Extension bytes of all chunks.
    extensions: u64,
    /// A trailer line that is not complete yet.
    partial: Vec<u8>,
    /// Trailers that end at this hop.
    named: Named,
    trailer_bytes: usize,
    trailer_count: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Length { left: u64 },
    UntilClose,
    Size { digits: u8 },
    Extension { bytes: usize, part: ExtensionPart },
    SizeLf,
    Chunk { left: u64 },
    ChunkCr,
    ChunkLf,
    Trailers,
    Ended,
}

/// One step of a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input are done with, data included. All of them if more are needed.
    pub consumed: usize,
    /// What was found.
    pub part: Part,
}

/// What a step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing more in this input.
    NeedMore,
    /// Body bytes: this range of the input, never empty. Call again with what follows it.
    Data(Range<usize>),
    /// The body has ended, its trailers are filled in; what follows in the input is not part of it.
    End,
}

/// Why a body was refused. The connection is closed after any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A chunk's first line is not 1 to 16 hexadecimal digits, an optional extension, CRLF. White
    /// space before the extension, which RFC 9112, 7.1.1 tells recipients to bear, is refused too.
    BadChunkSize,
    /// A chunk above [`LENGTH_MAX`].
    ChunkTooLarge,
    /// A chunk extension that is none by the grammar of RFC 9112, 7.1.1.
    BadExtension,
    /// A chunk's extension passes [`Limits::chunk_extension`], or the extensions of all chunks
    /// outweigh 64 times that and the data together.
    ExtensionTooLarge,
    /// No CRLF after a chunk's data.
    BadChunkEnd,
    /// A line feed alone ends a chunk's first line.
    BareLf,
    /// The trailer section passes [`Limits::trailer_bytes`].
    TrailersTooLarge,
    /// More trailer fields than [`Limits::fields`].
    TooManyTrailers,
    /// A malformed trailer line.
    Trailer(HeadError),
    /// A trailer field that states framing or routing: see [`trailer_fate`].
    ForbiddenTrailer,
    /// The peer closed before the body's end.
    Premature,
}

impl DecodeError {
    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::TrailersTooLarge => "http1.headers_too_large",
            Self::TooManyTrailers => "http1.too_many_headers",
            Self::Trailer(error) => error.details(),
            Self::BadChunkSize
            | Self::ChunkTooLarge
            | Self::BadExtension
            | Self::ExtensionTooLarge
            | Self::BadChunkEnd
            | Self::BareLf
            | Self::ForbiddenTrailer
            | Self::Premature => "http1.codec_error",
        }
    }

    /// What a client that sent it is answered, if it can still be. (An endpoint's is a 502.)
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TrailersTooLarge | Self::TooManyTrailers => 431,
            _ => 400,
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BadChunkSize => "A chunk does not begin with its size in hexadecimal digits.",
            Self::ChunkTooLarge => "A chunk is larger than any body can be.",
            Self::BadExtension => "A chunk extension is not of the form name, or name=value.",
            Self::ExtensionTooLarge => "Chunk extensions are larger than their limit.",
            Self::BadChunkEnd => "A chunk's data is not followed by a line end.",
            Self::BareLf => "A chunk's first line ends with a line feed alone.",
            Self::TrailersTooLarge => "The trailer section is larger than its limit.",
            Self::TooManyTrailers => "The trailer section has more fields than the limit allows.",
            Self::Trailer(error) => error.sentence(),
            Self::ForbiddenTrailer => "A trailer states the body's length or the request's host.",
            Self::Premature => "The connection was closed before the body's end.",
        }
    }
}

shown_by_its_sentence!(DecodeError);

impl BodyDecoder {
    /// A decoder for a body framed like this.
    #[must_use]
    pub const fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Ended,
            BodyLength::Length(left) => State::Length { left },
            BodyLength::Chunked => State::Size { digits: 0 },
            BodyLength::UntilClose => State::UntilClose,
        };
        let (trailer_bytes, trailer_count) = (0, 0);
        Self {
            state,
            size: 0,
            data: 0,
            extensions: 0,
            partial: Vec::new(),
            named: Named::NOTHING,
            trailer_bytes,
            trailer_count,
        }
    }

    /// The same, which leaves out the trailers that `Connection` names.
    #[must_use]
    pub fn without(mut self, named: Named) -> Self {
        self.named = named;
        self
    }

    /// Finds the next piece of the body at the start of `input`. Runs of data cost the same whatever
    /// their length: they are not looked at. After [`Part::End`] it says so again.
    ///
    /// Trailers are pushed to `trailers` as their lines complete; see [`trailer_fate`] for those that
    /// are dropped.
    ///
    /// # Errors
    /// See [`DecodeError`]; the decoder is of no further use.
    pub fn decode(
        &mut self,
        input: &[u8],
        limits: &Limits,
        trailers: &mut Fields,
    ) -> Result<Step, DecodeError> {
        let mut at = 0;
        loop {
            if let State::Ended = self.state {
                return Ok(Step {
                    consumed: at,
                    part: Part::End,
                });
            }
            let Some(&byte) = input.get(at) else {
                return Ok(Step {
                    consumed: at,
                    part: Part::NeedMore,
                });
            };
            match self.state {
                State::Length { left } | State::Chunk { left } => {
                    return Ok(self.take(at, input.len(), left));
                }
                State::UntilClose => return Ok(self.take(at, input.len(), u64::MAX)),
                State::Trailers => at += self.trailer_line(&input[at..], limits, trailers)?,
                _ => {
                    self.state = self.framing_byte(byte, limits)?;
                    at += 1;
                }
            }
        }
    }

    /// Whether the body has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The peer has closed: was that the body's end?
    ///
    /// # Errors
    /// [`DecodeError::Premature`] unless the body had ended or only a close could end it.
    pub fn finish_at_eof(self) -> Result<(), DecodeError> {
        match self.state {
            State::UntilClose | State::Ended => Ok(()),
            _ => Err(DecodeError::Premature),
        }
    }

    /// Hands out what there is of `left` bytes of data.
    fn take(&mut self, at: usize, end: usize, left: u64) -> Step {
        let len = left.min((end - at) as u64);
        let left = left - len;
        self.data += len;
        self.state = match self.state {
            State::Length { .. } if left == 0 => State::Ended,
            State::Length { .. } => State::Length { left },
            State::Chunk { .. } if left == 0 => State::ChunkCr,
            State::Chunk { .. } => State::Chunk { left },
            other => other,
        };
        let end = at + len as usize;
        Step {
            consumed: end,
            part: Part::Data(at..end),
        }
    }

    /// One byte of a chunk's first line or of the line end after its data (RFC 9112, 7.1).
    fn framing_byte(&mut self, byte: u8, limits: &Limits) -> Result<State, DecodeError> {
        Ok(match (self.state, byte) {
            (State::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(DecodeError::BadChunkSize);
                }
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                self.size = self.size << 4 | digit;
                State::Size { digits: digits + 1 }
            }
            (State::Size { digits: 1.. }, b'\r') => State::SizeLf,
            (State::Size { digits: 1.. }, b';') => State::Extension {
                bytes: 0,
                part: ExtensionPart::Start,
            },
            (State::Size { digits: 1.. } | State::Extension { .. }, b'\n') => {
                return Err(DecodeError::BareLf);
            }
            (State::Extension { part, .. }, b'\r') if part.is_complete() => State::SizeLf,
            (State::Extension { bytes, part }, _) => {
                let part = part.then(byte).ok_or(DecodeError::BadExtension)?;
                self.count_extension(bytes + 1, limits)?;
                State::Extension {
                    bytes: bytes + 1,
                    part,
                }
            }
            (State::SizeLf, b'\n') => match std::mem::take(&mut self.size) {
                0 => State::Trailers,
                left if left > LENGTH_MAX => return Err(DecodeError::ChunkTooLarge),
                left => State::Chunk { left },
            },
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => State::Size { digits: 0 },
            (State::ChunkCr | State::ChunkLf, _) => return Err(DecodeError::BadChunkEnd),
            _ => return Err(DecodeError::BadChunkSize),
        })
    }

    /// Tiny chunks with long extensions make a sender's few bytes of data cost us many. The data
    /// counts in its favour, so a long stream with a short extension on each chunk goes on forever.
    fn count_extension(&mut self, of_chunk: usize, limits: &Limits) -> Result<(), DecodeError> {
        self.extensions += 1;
        let allowance = (limits.chunk_extension as u64).saturating_mul(EXTENSION_CHUNKS);
        if of_chunk > limits.chunk_extension || self.extensions > self.data.saturating_add(allowance) {
            return Err(DecodeError::ExtensionTooLarge);
        }
        Ok(())
    }

    /// Takes one trailer line, or the part of it that is there; says how many bytes that was.
    fn trailer_line(
        &mut self,
        input: &[u8],
        limits: &Limits,
        trailers: &mut Fields,
    ) -> Result<usize, DecodeError> {
        let line_feed = memchr(b'\n', input);
        let len = line_feed.map_or(input.len(), |at| at + 1);
        self.trailer_bytes = self.trailer_bytes.saturating_add(len);
        if self.trailer_bytes > limits.trailer_bytes {
            return Err(DecodeError::TrailersTooLarge);
        }
        if line_feed.is_none() {
            self.partial.extend_from_slice(input);
        } else if self.partial.is_empty() {
            self.whole_trailer_line(&input[..len], limits, trailers)?;
        } else {
            let mut line = std::mem::take(&mut self.partial);
            line.extend_from_slice(&input[..len]);
            self.whole_trailer_line(&line, limits, trailers)?;
        }
        Ok(len)
    }

    fn whole_trailer_line(
        &mut self,
        line: &[u8],
        limits: &Limits,
        trailers: &mut Fields,
    ) -> Result<(), DecodeError> {
        let (name, value) = match field_line(line).map_err(DecodeError::Trailer)? {
            FieldLine::Field { name, value, .. } => (name, value),
            FieldLine::End => {
                self.state = State::Ended;
                return Ok(());
            }
            // The line has its LF, so only the CR before it can be missing.
            FieldLine::Incomplete => return Err(DecodeError::Trailer(HeadError::BareLf)),
        };
        self.trailer_count += 1;
        if self.trailer_count > limits.fields {
            return Err(DecodeError::TooManyTrailers);
        }
        match trailer_fate(Known::of(name), name) {
            TrailerFate::Keep if !self.named.includes(name) => trailers.push(name, value),
            TrailerFate::Keep | TrailerFate::Drop => {}
            TrailerFate::Refuse => return Err(DecodeError::ForbiddenTrailer),
        }
        Ok(())
    }
}

/// As many digits as a 64-bit size has; more are leading zeros, which nobody needs.
const SIZE_DIGITS_MAX: u8 = 16;
/// Chunks with an extension of the greatest length that are borne before data must make up for them.
const EXTENSION_CHUNKS: u64 = 64;

#[cfg(test)]
mod tests;
