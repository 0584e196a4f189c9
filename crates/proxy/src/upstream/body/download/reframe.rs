//! Bodies that can not go on as they came: their data is framed anew.

use wire::h1::decode::Part;
use wire::h1::encode::{self, CHUNK_END};
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;

use super::{Download, DownloadEnd};
use crate::transport::buffer::ReadBuffer;
use crate::upstream::body::encode_end;

impl Download {
    /// Takes all of `input` up to the body's end, and puts it into `out` as it is framed for the client.
    pub(super) fn reframe(
        &mut self,
        input: &mut ReadBuffer,
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), DownloadEnd> {
        let mut at = 0;
        loop {
            let (within, owed) = (self.decoder.plain() > 0, self.decoder.owes_chunk_end());
            let bytes = &input.data()[at..];
            let step = self.step(bytes, limits)?;
            at += step.consumed;
            let (range, more) = match &step.part {
                Part::Data(range) => (range.clone(), true),
                Part::NeedMore | Part::End => (0..0, false),
            };
            self.relayed += range.len() as u64;
            match (self.from, self.to) {
                (BodyLength::Chunked, BodyLength::Chunked) => {
                    if owed && (more || !self.decoder.owes_chunk_end()) {
                        out.extend_from_slice(CHUNK_END);
                    }
                    let size = range.len() as u64 + self.decoder.plain();
                    if !within && size > 0 {
                        encode::chunk_header(out, size);
                    }
                    out.extend_from_slice(&bytes[range]);
                }
                (_, BodyLength::Chunked) if more => {
                    encode::chunk_header(out, range.len() as u64);
                    out.extend_from_slice(&bytes[range]);
                    out.extend_from_slice(CHUNK_END);
                }
                _ => out.extend_from_slice(&bytes[range]),
            }
            if !more {
                if step.part == Part::End {
                    encode_end(out, self.to, &self.trailers);
                }
                input.consume(at);
                return Ok(());
            }
        }
    }
}
