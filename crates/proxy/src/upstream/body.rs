//! Bodies in bounded memory: towards the endpoint with a copy for replay, towards the client
//! without.

mod download;
mod outgoing;
mod upload;

use std::cell::Cell;

use policy::deadline::{Signs, Turn};
use policy::time::Moment;
use wire::field::Fields;
use wire::h1::encode;
use wire::h1::framing::BodyLength;

use crate::worker::Worker;

pub(crate) use download::{Begin, Download, DownloadEnd, Taken};
pub(crate) use upload::{BadBody, Sender, Upload, UploadEnd};

/// A body of at least this goes on from the buffer that it was read into, if all of it is there: its new head is
/// put before it, in place of the old one. A smaller one is copied behind its head.
const IN_PLACE_MIN: usize = 2 * 1024;

/// Signs of life of one exchange, for whoever watches its time limits.
#[derive(Debug)]
pub(crate) struct ProgressCounter<'a> {
    worker: &'a Worker,
    moved: Cell<Moment>,
    /// When the request had come whole; [`Moment::NEVER`] while more is to come.
    whole: Cell<Moment>,
    /// Who the request waits for, and who its answer does.
    turns: [Cell<Turn>; 2],
    client_ended: Cell<bool>,
    /// Limits begin or end otherwise than when it was last asked.
    changed: Cell<bool>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From client to endpoint.
    Up,
    /// From endpoint to client.
    Down,
}

impl<'a> ProgressCounter<'a> {
    /// A wait begins, for a request that had come whole at this moment, or has not yet.
    pub(crate) fn new(worker: &'a Worker, whole: Option<Moment>) -> Self {
        Self {
            worker,
            moved: Cell::new(worker.clock.now()),
            whole: Cell::new(whole.unwrap_or(Moment::NEVER)),
            turns: Default::default(),
            client_ended: Cell::new(false),
            changed: Cell::new(false),
        }
    }

    /// Something moved.
    pub(crate) fn advance(&self) {
        self.moved.set(self.worker.clock.now());
    }

    /// The last byte of the request has come: when that was.
    pub(crate) fn request_is_whole(&self) -> Moment {
        let now = self.worker.clock.now();
        self.whole.set(now);
        self.changed.set(true);
        now
    }

    /// Whose turn it is that bytes move this way.
    pub(crate) fn turn(&self, way: Direction, turn: Turn) {
        if self.turns[way as usize].replace(turn) != turn {
            self.changed.set(true);
        }
    }

    /// The client has ended its sending side.
    pub(crate) fn client_ends(&self) {
        self.client_ended.set(true);
        self.changed.set(true);
    }

    /// Whether the client has ended its sending side since this was last asked.
    pub(crate) fn client_has_ended(&self) -> bool {
        self.client_ended.take()
    }

    /// Whether limits begin or end otherwise than when this was last asked.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.take()
    }

    /// What has been seen so far.
    pub(crate) fn signs(&self) -> Signs {
        let awaits_client = self.turns.iter().any(|turn| turn.get() == Turn::Client);
        Signs {
            moved: self.moved.get(),
            turn: if awaits_client {
                Turn::Client
            } else {
                Turn::Endpoint
            },
            whole: Some(self.whole.get()).filter(|&whole| whole != Moment::NEVER),
        }
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
