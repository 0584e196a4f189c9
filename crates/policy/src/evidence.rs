//! The facts of a dead attempt, and what they prove: may the request be sent again?
//!
//! A total function of recorded facts (ARCHITECTURE.md, "the race"). Nothing is guessed: what is
//! not proven is [`Grade::Unknown`].

use std::time::Duration;

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
    /// Bytes came that had been on their way before any byte of the request could have arrived, and
    /// a FIN behind them: a farewell (some servers say 408 as they close an idle connection), or somebody
    /// else's answer. They answer nothing.
    Farewell,
    /// The same, and no FIN behind them yet.
    Stale,
    /// Nothing was acknowledged within the time in which a live peer acknowledges: the path is silent.
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
    /// Bytes of the request's head, as encoded for this attempt; never 0.
    pub head_bytes: u64,
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
    /// A FIN was read, and TCP had not acknowledged the whole head: the peer had ended before it had it.
    Unreceived,
    /// FIN or RST, and the head's last bytes were never written.
    Incomplete,
    /// Not proven either way.
    Unknown,
    /// A response byte was received.
    Begun,
}

impl Grade {
    /// Whether the request is proven not to have been applied, so that it may be sent again
    /// whatever its method.
    #[must_use]
    pub const fn proves_unapplied(self) -> bool {
        match self {
            Self::Unsent | Self::Stillborn | Self::Unreceived | Self::Incomplete => true,
            Self::Unknown | Self::Begun => false,
        }
    }

    /// The grade's name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Stillborn => "stillborn",
            Self::Unreceived => "unreceived",
            Self::Incomplete => "incomplete",
            Self::Unknown => "unknown",
            Self::Begun => "begun",
        }
    }
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Grades a dead attempt. The first row that applies decides:
///
/// ```text
/// a response byte was received ................................ Begun
/// nothing was handed to the kernel ............................ Unsent
/// the end was there before the first write .................... Stillborn
/// the head's last bytes were never written .................... Incomplete
/// a FIN came, and less than the whole head was acknowledged .... Unreceived
/// anything else ............................................... Unknown
/// ```
///
/// `Unreceived` rests on TCP: a FIN acknowledges all that its sender had received, and the count never
/// falls, so a head of which less is acknowledged once the FIN has been read was not whole when the
/// peer ended, and a head that is not whole is no request (RFC 9112, section 2.1). It assumes that a peer
/// which half-closed discards what it receives afterwards (RFC 9112, section 9.6). An RST
/// carries no such acknowledgement, so a bare one proves nothing.
#[must_use]
pub fn grade(facts: &Facts) -> Grade {
    if facts.response_begun {
        return Grade::Begun;
    }
    match facts.written {
        Written::Nothing => Grade::Unsent,
        _ if facts.ended_before_write => Grade::Stillborn,
        Written::PartOfHead => Grade::Incomplete,
        Written::WholeHead => match facts.end {
            End::Eof | End::BrokenPipe | End::Farewell
                if facts.acknowledged.is_some_and(|count| count < facts.head_bytes) =>
            {
                Grade::Unreceived
            }
            End::Eof
            | End::BrokenPipe
            | End::Farewell
            | End::Stale
            | End::ConnectFailed
            | End::Reset
            | End::Silent
            | End::TimedOut
            | End::Other => Grade::Unknown,
        },
    }
}

/// Whether the first bytes that came back can not answer the request: none of it had been acknowledged
/// yet. Whatever a peer sends after it has received a byte acknowledges that byte.
#[must_use]
pub fn is_stale(acknowledged: Option<u64>) -> bool {
    acknowledged == Some(0)
}

/// Whether a response on a reused connection is a farewell that something between us and the
/// endpoint keeps us from telling by its acknowledgements: 408 says that no whole request had come in time
/// (RFC 9110, section 15.5.9), and none can have run out of time so soon after its first byte.
/// It is no proof, as an application may say 408 of its own.
#[must_use]
pub fn is_farewell(status: u16, stays_open: bool, lasted: Duration, patience: Duration) -> bool {
    status == 408 && !stays_open && lasted <= patience * 2 + NOTICED_WITHIN
}

/// Whether a reused connection died as idle ones do: with a close that may have been on its way when the
/// request was written (what is written then is answered at once, within the `patience` of the path), or
/// of a silence in which nothing was acknowledged. A later death has other reasons, load among
/// them. `lasted` runs from the request's first byte to its end.
#[must_use]
pub fn raced(facts: &Facts, lasted: Duration, patience: Duration) -> bool {
    let closed = match facts.end {
        End::Eof | End::BrokenPipe | End::Reset => lasted <= patience * 2 + NOTICED_WITHIN,
        End::Silent | End::Farewell | End::Stale => true,
        End::ConnectFailed | End::TimedOut | End::Other => false,
    };
    closed && !facts.response_begun
}

/// So late a busy proxy may notice what has come.
const NOTICED_WITHIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
