//! Bytes of a body that go on as they came: checked, and not encoded anew.

use super::{BodyDecoder, SIZE_DIGITS_MAX, State};
use crate::h1::framing::{BodyLength, LENGTH_MAX};

/// Bytes at the start of an input that may go on as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// So many bytes, framing included.
    pub bytes: usize,
    /// … of which so many are data.
    pub data: u64,
}

/// Where a decoder of the body stands that went on: between two chunks, inside the data of one, or at its end.
#[derive(Clone, Copy, Debug)]
pub struct Boundary(State);

impl Boundary {
    /// The beginning of a body framed like this.
    #[must_use]
    pub fn beginning(length: BodyLength) -> Self {
        Self(BodyDecoder::new(length).state)
    }
}

impl BodyDecoder {
    /// How many bytes follow that are data whatever they are, so that they need not be looked at:
    /// the rest of a body of known length, or of a chunk.
    #[must_use]
    pub const fn plain(&self) -> u64 {
        match self.state {
            State::Length { left } | State::Chunk { left } => left,
            _ => 0,
        }
    }

    /// `count` of those bytes went past without being decoded.
    ///
    /// # Panics
    /// If there were not as many.
    pub fn passed(&mut self, count: u64) {
        match &mut self.state {
            State::Length { left } | State::Chunk { left } if *left >= count => *left -= count,
            _ => panic!("{count} bytes passed that were not plain data"),
        }
        self.data += count;
        match self.state {
            State::Length { left: 0 } => self.state = State::Ended,
            State::Chunk { left: 0 } => self.state = State::ChunkCr,
            _ => {}
        }
    }

    /// Whether a chunk's data has ended and the line end behind it has not been read whole.
    #[must_use]
    pub const fn owes_chunk_end(&self) -> bool {
        matches!(self.state, State::ChunkCr | State::ChunkLf)
    }

    /// Takes what may go on as it is: data, and the framing of chunks in the form in which we would write it, but for
    /// the case of digits. It stops before everything else, which [`BodyDecoder::decode`] takes: chunk extensions,
    /// leading zeros, trailers, lines that are malformed or have come in part (so what may turn out malformed is
    /// never passed on). The last chunk is taken if no trailer follows it; [`BodyDecoder::has_ended`] says so then.
    ///
    /// RFC 9112, 7.1.
    pub fn run(&mut self, input: &[u8]) -> Run {
        let (mut at, before) = (0, self.data);
        loop {
            let rest = &input[at..];
            let (state, bytes) = match self.state {
                State::Length { .. } | State::UntilClose | State::Chunk { .. } if !rest.is_empty() => {
                    let left = match self.state {
                        State::Length { left } | State::Chunk { left } => left,
                        _ => u64::MAX,
                    };
                    at = self.take(at, input.len(), left).consumed;
                    continue;
                }
                State::ChunkCr if rest.starts_with(b"\r\n") => (State::Size { digits: 0 }, 2),
                State::Size { digits: 0 } => match size_line(rest) {
                    Some((0, bytes)) if rest[bytes..].starts_with(b"\r\n") => (State::Ended, bytes + 2),
                    Some((left @ 1..=LENGTH_MAX, bytes)) => (State::Chunk { left }, bytes),
                    _ => break,
                },
                _ => break,
            };
            self.state = state;
            at += bytes;
        }
        Run {
            bytes: at,
            data: self.data - before,
        }
    }

    /// Where a decoder stands that reads what goes on of this body, if all of it has gone that can: a line of which
    /// a part has come goes on once it is whole.
    #[must_use]
    pub const fn boundary(&self) -> Boundary {
        Boundary(match self.state {
            State::ChunkCr | State::ChunkLf => State::ChunkCr,
            State::Length { .. } | State::UntilClose | State::Chunk { .. } | State::Ended => self.state,
            State::Size { .. } | State::Extension { .. } | State::SizeLf | State::Trailers => {
                State::Size { digits: 0 }
            }
        })
    }

    /// A decoder that goes on from there.
    #[must_use]
    pub const fn from_boundary(Boundary(state): Boundary) -> Self {
        let mut decoder = Self::new(BodyLength::None);
        decoder.state = state;
        decoder
    }
}

/// A chunk's first line as we would write it: the size that it states, and its length. `None` for any other line.
fn size_line(input: &[u8]) -> Option<(u64, usize)> {
    let (mut size, mut digits) = (0_u64, 0);
    for &byte in input.iter().take(SIZE_DIGITS_MAX as usize) {
        let Some(digit) = (byte as char).to_digit(16) else {
            break;
        };
        size = size << 4 | u64::from(digit);
        digits += 1;
    }
    let is_shortest = digits == 1 || digits > 1 && input[0] != b'0';
    (is_shortest && input[digits..].starts_with(b"\r\n")).then_some((size, digits + 2))
}
