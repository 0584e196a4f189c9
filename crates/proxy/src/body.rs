//! Bodies in bounded memory: towards the endpoint with a copy for replay, towards the client
//! without.

mod download;
mod outgoing;
mod upload;

use std::cell::Cell;

use wire::field::Fields;
use wire::h1::encode;
use wire::h1::framing::BodyLength;

pub(crate) use download::{Begin, Download, DownloadEnd};
pub(crate) use upload::{Sender, Upload, UploadEnd};

/// A body of at least this goes on from the buffer that it was read into, if all of it is there: its new head is
/// put before it, in place of the old one. A smaller one is copied behind its head.
const IN_PLACE_MIN: usize = 2 * 1024;

/// Signs of life of one exchange, for whoever watches its time limits.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    beats: Cell<u64>,
    awaiting_client: Cell<bool>,
    client_ended: Cell<bool>,
}

impl Pulse {
    /// Something moved.
    pub(crate) fn beat(&self) {
        self.beats.set(self.beats.get() + 1);
    }

    /// How often something moved so far.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.get()
    }

    /// It is the client's turn from now on, or not any more.
    pub(crate) fn awaits_client_now(&self, awaits: bool) {
        self.awaiting_client.set(awaits);
    }

    /// The client has ended its sending side.
    pub(crate) fn client_ends(&self) {
        self.client_ended.set(true);
    }

    /// Whether the client has ended its sending side since this was last asked.
    pub(crate) fn client_has_ended(&self) -> bool {
        self.client_ended.take()
    }

    /// Whether it is the client's turn: more of its body is to come.
    pub(crate) fn awaits_client(&self) -> bool {
        self.awaiting_client.get()
    }
}

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
