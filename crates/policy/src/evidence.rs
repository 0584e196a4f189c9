//! The facts of a dead attempt, and what they prove: may the request be sent again?
//!
//! A total function of recorded facts (ARCHITECTURE.md, "the race"). Nothing is guessed: what is
//! not proven is [`Grade::Unknown`].

/// How much of the request this attempt had handed to the kernel when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Not one byte: the connect failed, or the first write was refused.
    Nothing,
    /// Part of the head: its last bytes were never written, so no server can dispatch it.
    PartOfHead,
    /// The whole head, and perhaps some or all of the body.
    WholeHead,
}

/// How the attempt ended, by the first sign that the kernel gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The connection could not be opened (refused, unreachable, timed out).
    ConnectFailed,
    /// A read returned 0 and no call before it said ECONNRESET: a FIN.
    Eof,
    /// A write said EPIPE: an RST that followed a FIN.
    BrokenPipe,
    /// The first failing call said ECONNRESET: a bare RST.
    Reset,
    /// Nothing was acknowledged for the connect timeout: the path is silent.
    Silent,
    /// A time limit of ours ended it.
    TimedOut,
    /// Some other error of the socket.
    Other,
}

/// What was recorded of one dead attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How much of the request was handed to the kernel.
    pub written: Written,
    /// The first sign of the end.
    pub end: End,
    /// Whether the FIN or RST was already there before the first byte was written.
    pub ended_before_write: bool,
    /// Bytes of this request that TCP says the peer has acknowledged, read as soon as the end was
    /// seen; `None` where the platform cannot tell.
    pub acknowledged: Option<u64>,
    /// Whether a byte of the response (a 1xx included) was received.
    pub response_begun: bool,
}

/// What the facts prove about a dead attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// No byte left the process.
    Unsent,
    /// FIN or RST was there before the first write.
    Stillborn,
    /// A FIN was read and not one byte of this request was acknowledged.
    Unreceived,
    /// FIN or RST, and the head's last bytes were never written.
    Incomplete,
    /// Not proven either way.
    Unknown,
    /// A response byte was received.
    Begun,
}
