//! What must hold for any body.

use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, DecodeError, Part};
use wire::h1::encode;
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;

use super::{TIGHT, pieces};

/// Bodies: no panic, the same outcome however the bytes arrive, and what is encoded is decoded.
pub fn chunked(data: &[u8]) {
    let length = u64::from(data.first().copied().unwrap_or_default());
    for framing in [
        BodyLength::Chunked,
        BodyLength::Length(length),
        BodyLength::UntilClose,
    ] {
        for limits in [Limits::default(), TIGHT] {
            let whole = Decoded::of(framing, [data].into_iter(), &limits);
            assert_eq!(Decoded::of(framing, pieces(data), &limits), whole);
            assert_eq!(Decoded::of(framing, data.chunks(1), &limits), whole);
            if whole.end == Ok(true) && framing == BodyLength::Chunked {
                whole.is_decoded_from_what_is_encoded();
            }
        }
    }
}

/// Everything that a body decodes to.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the body; 0 after an error.
    pub(super) consumed: usize,
    /// Whether the end was found.
    pub(super) end: Result<bool, DecodeError>,
}

impl Decoded {
    pub(super) fn of<'a>(
        framing: BodyLength,
        pieces: impl Iterator<Item = &'a [u8]>,
        limits: &Limits,
    ) -> Self {
        let (mut decoder, mut trailers) = (BodyDecoder::new(framing), Fields::default());
        let mut decoded = Self {
            data: Vec::new(),
            trailers: Vec::new(),
            consumed: 0,
            end: Ok(false),
        };
        for piece in pieces.chain([&[][..]]) {
            if decoded.end != Ok(false) {
                break;
            }
            decoded.end = decoded.feed(&mut decoder, piece, limits, &mut trailers);
        }
        if decoded.end.is_err() {
            decoded.consumed = 0;
        } else {
            let closed_well = decoder.clone().finish_at_eof().is_ok();
            assert_eq!(
                closed_well,
                decoder.has_ended() || framing == BodyLength::UntilClose
            );
        }
        decoded.trailers = trailers
            .iter()
            .map(|(_, name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        decoded
    }

    fn feed(
        &mut self,
        decoder: &mut BodyDecoder,
        mut piece: &[u8],
        limits: &Limits,
        trailers: &mut Fields,
    ) -> Result<bool, DecodeError> {
        loop {
            let step = decoder.decode(piece, limits, trailers)?;
            assert!(step.consumed <= piece.len());
            self.consumed += step.consumed;
            match step.part {
                Part::Data(range) => {
                    assert!(!range.is_empty() && range.end <= step.consumed);
                    self.data.extend_from_slice(&piece[range]);
                }
                Part::NeedMore => {
                    assert_eq!(step.consumed, piece.len());
                    return Ok(false);
                }
                Part::End => return Ok(true),
            }
            piece = &piece[step.consumed..];
        }
    }

    fn is_decoded_from_what_is_encoded(&self) {
        let mut bytes = Vec::new();
        for chunk in self.data.chunks(7) {
            encode::chunk_header(&mut bytes, chunk.len() as u64);
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(encode::CHUNK_END);
        }
        let mut trailers = Fields::default();
        self.trailers
            .iter()
            .for_each(|(name, value)| trailers.push(name, value));
        encode::last_chunk(&mut bytes, &trailers);
        let limits = Limits {
            trailer_bytes: usize::MAX,
            ..Limits::default()
        };
        let again = Self::of(BodyLength::Chunked, [bytes.as_slice()].into_iter(), &limits);
        assert_eq!(
            (again.data, again.trailers),
            (self.data.clone(), self.trailers.clone())
        );
        assert_eq!((again.consumed, again.end), (bytes.len(), Ok(true)));
    }
}
