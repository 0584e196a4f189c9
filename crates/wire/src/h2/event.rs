//! What a connection tells whoever drives it.

use std::ops::Range;

use super::error::StreamError;
use super::frame::{ErrorCode, StreamId};
use super::priority::Priority;

/// What was made of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input are done with. 0: more must come before anything can be said, or output must go
    /// first; the bytes are to be kept.
    pub taken: usize,
    /// What they mean to whoever drives the connection.
    pub event: Option<Event>,
    /// What the peer did that honest peers do seldom: to be held against its budget.
    pub cost: Option<Cost>,
}

impl Step {
    pub(super) const WAIT: Self = Self {
        taken: 0,
        event: None,
        cost: None,
    };

    pub(super) const fn silent(taken: usize) -> Self {
        Self {
            taken,
            event: None,
            cost: None,
        }
    }

    pub(super) const fn told(taken: usize, event: Event) -> Self {
        Self {
            taken,
            event: Some(event),
            cost: None,
        }
    }

    pub(super) const fn at_cost(mut self, cost: Cost) -> Self {
        self.cost = Some(cost);
        self
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client's request, whose head is in [`Scratch::request`](super::Scratch::request); `end` if it has no content.
    Request {
        /// Its stream.
        stream: StreamId,
        /// Whether the message ends with it.
        end: bool,
    },
    /// An interim response (1xx), whose head is in [`Scratch::response`](super::Scratch::response).
    Interim {
        /// Its stream.
        stream: StreamId,
    },
    /// A final response, whose head is in [`Scratch::response`](super::Scratch::response).
    Response {
        /// Its stream.
        stream: StreamId,
        /// Whether the message ends with it.
        end: bool,
    },
    /// Content. Its credit is given back by [`Connection::consume`](super::Connection::consume).
    Data {
        /// Its stream.
        stream: StreamId,
        /// Where in the input it lies; empty only at the end.
        data: Range<usize>,
        /// Whether the message ends with it.
        end: bool,
    },
    /// The end of a message, and its trailers, which are in [`Scratch::trailers`](super::Scratch::trailers).
    Trailers {
        /// Its stream.
        stream: StreamId,
    },
    /// The peer has reset a stream. It counts until it is released.
    Reset {
        /// The stream.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// What came on a stream is wrong. The stream is reset already, and counts until it is released; unless
    /// [`StreamError::is_limit`], where an answer may be sent before it is.
    /// Nothing is to be released after [`StreamError::TooManyStreams`], or if no event told of the stream before.
    Broken {
        /// The stream.
        stream: StreamId,
        /// What is wrong.
        why: StreamError,
    },
    /// Windows were opened: a stream's, or the connection's and so any stream's.
    WindowOpened {
        /// `None`: the connection's, or all streams' by SETTINGS.
        stream: Option<StreamId>,
    },
    /// The peer's settings are in force: see [`Connection::peer`](super::Connection::peer).
    Settings,
    /// The peer has acknowledged ours.
    SettingsAcknowledged,
    /// The peer has acknowledged a PING of ours.
    Pong {
        /// What the PING held.
        payload: [u8; 8],
    },
    /// The second step of [`Connection::drain`](super::Connection::drain) is done: no stream comes any more.
    Drained,
    /// The peer takes no streams of ours above `last`: what was asked on those was not processed.
    GoAway {
        /// The lowest that the peer has said.
        last: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// The client has changed a response's priority.
    Priority {
        /// Its stream.
        stream: StreamId,
        /// What it is now.
        priority: Priority,
    },
}

/// What a peer did that costs more than it is worth, if it is done often. Nothing of it is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// It reset a stream before both messages were whole.
    PeerReset,
    /// It made us reset a stream, or refuse one.
    OwnReset,
    /// A PING.
    Ping,
    /// SETTINGS.
    Settings,
    /// PRIORITY or PRIORITY_UPDATE.
    Priority,
    /// A WINDOW_UPDATE of less than 256 bytes.
    SmallWindowUpdate,
    /// DATA without content that does not end a stream.
    EmptyData,
    /// DATA of less than 256 bytes that does not end a stream.
    SmallData,
    /// A CONTINUATION.
    Continuation,
    /// A frame on a stream that is over.
    Late,
    /// A frame of a type that we do not know.
    Unknown,
}
