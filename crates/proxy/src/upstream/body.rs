//! Bodies in bounded memory: towards the endpoint with a copy for replay, towards the client
//! without.

mod copy;
mod download;
mod outgoing;
mod upload;

use wire::field::Fields;
use wire::h1::encode;
use wire::h1::framing::BodyLength;

pub(crate) use copy::NoCopy;
pub(crate) use download::{Begin, Download, DownloadEnd, Taken};
pub(crate) use upload::{BadBody, Sender, Upload, UploadEnd};

/// A body of at least this goes on from the buffer that it was read into, if all of it is there: its new head is
/// put before it, in place of the old one. A smaller one is copied behind its head.
const IN_PLACE_MIN: usize = 2 * 1024;

fn encode_data(out: &mut Vec<u8>, length: BodyLength, data: &[u8]) {
    if length == BodyLength::Chunked {
        encode::chunk_header(out, data.len() as u64);
        out.extend_from_slice(data);
        out.extend_from_slice(encode::CHUNK_END);
    } else {
        out.extend_from_slice(data);
    }
}

fn encode_end(out: &mut Vec<u8>, length: BodyLength, trailers: &Fields) {
    if length == BodyLength::Chunked {
        encode::last_chunk(out, trailers);
    }
}
