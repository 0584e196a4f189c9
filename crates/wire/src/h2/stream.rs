//! The streams of a connection, and what is remembered of those that are over (RFC 9113, 5.1).

use super::frame::StreamId;
use super::priority::Priority;
use super::window::{ReceiveWindow, SendWindow};
use crate::message::Method;

/// How far one direction of a stream is.
///
/// ```text
///   Head --head--> Body --END_STREAM--> Ended
///     `------head with END_STREAM--------^
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Head,
    Body,
    Ended,
}

/// Whether a stream was reset, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    No,
    ByUs,
    ByPeer,
}

/// A stream from its first HEADERS until it is released.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) receive: Half,
    pub(super) send: Half,
    pub(super) reset: Reset,
    /// What was asked on it.
    pub(super) method: Method,
    /// Interim responses that came.
    pub(super) interims: u8,
    pub(super) priority: Priority,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    /// Content that was received and not consumed.
    pub(super) unconsumed: usize,
    /// Content that must still come, where the head said how much.
    pub(super) left: Option<u64>,
}

impl Stream {
    /// Whether both messages are whole, or one side has given it up.
    pub(super) fn is_over(&self) -> bool {
        self.is_whole() || self.reset != Reset::No
    }

    /// Whether both messages are whole.
    pub(super) fn is_whole(&self) -> bool {
        self.receive == Half::Ended && self.send == Half::Ended
    }
}

/// Streams in the order of their numbers. Numbers only grow, so a new one goes last.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    list: Vec<Stream>,
    /// Those that are not whole: they count against the limit, reset or not, until they are released.
    pub(super) over: Over,
}

impl Streams {
    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.at(id).map(|at| &self.list[at])
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.at(id).map(|at| &mut self.list[at])
    }

    /// Adds a stream whose number is above all others.
    pub(super) fn add(&mut self, stream: Stream) {
        debug_assert!(self.list.last().is_none_or(|last| last.id < stream.id));
        self.list.push(stream);
    }

    /// Takes a stream out, and remembers how it ended.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<Stream> {
        let stream = self.list.remove(self.at(id)?);
        let by_peer = match stream.reset {
            Reset::No => stream.receive == Half::Ended,
            Reset::ByUs => false,
            Reset::ByPeer => true,
        };
        self.over.note(id, by_peer);
        Some(stream)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.list.iter_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.list.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Streams that count against a limit: all but those whose messages are whole.
    pub(super) fn counted(&self) -> usize {
        self.list.iter().filter(|stream| !stream.is_whole()).count()
    }

    pub(super) fn shrink(&mut self) {
        self.list.shrink_to_fit();
    }

    #[inline]
    fn at(&self, id: StreamId) -> Option<usize> {
        self.list.binary_search_by_key(&id, |stream| stream.id).ok()
    }
}

/// The streams that were over last. A frame on one that the peer had ended breaks the protocol; on one that we have
/// reset it may have been on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Over {
    /// Numbers, with the highest bit if the peer had ended it.
    ring: [u32; REMEMBERED],
    next: u8,
}

impl Over {
    pub(super) fn note(&mut self, id: StreamId, by_peer: bool) {
        self.ring[usize::from(self.next)] = id.0 | if by_peer { BY_PEER } else { 0 };
        self.next = (self.next + 1) % REMEMBERED as u8;
    }

    /// Whether the peer had ended the stream; `None` if it is not remembered.
    pub(super) fn by_peer(&self, id: StreamId) -> Option<bool> {
        let found = self.ring.iter().find(|&&over| over & !BY_PEER == id.0);
        found.map(|over| over & BY_PEER != 0)
    }
}

const BY_PEER: u32 = 1 << 31;
/// Frames that were on their way come within a round trip.
const REMEMBERED: usize = 32;
