//! The last failure of an endpoint, as an operator reads it, and whether it still fails.

use std::borrow::Cow;
use std::time::Duration;

use crate::cluster::Protocol;
use crate::evidence::{End, Grade};
use crate::retry::attempts::{Outcome, Summary};
use crate::time::Moment;

/// How an attempt ended, as far as it speaks for or against its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempted {
    /// It answered, with this status.
    Answered(u16),
    /// The connection could not be opened.
    ConnectFailed,
    /// The connection was not opened within the connect timeout.
    ConnectTimedOut,
    /// The connection ended before the response was complete.
    Died(End),
    /// What it sent is not an HTTP response.
    Malformed,
    /// Its hedge, at another endpoint, answered; it did not, in four times as long.
    Outrun,
}

/// What an endpoint failed at last.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    last: Option<(Cow<'static, str>, Moment)>,
    /// The connect's own words, which come before the attempt is reported.
    connect: Option<Cow<'static, str>>,
    /// Attempts that failed since the last good answer.
    row: u32,
    /// The last attempt got no answer at all.
    silent: bool,
    /// Its failures would have ejected it, and that was told.
    pub(crate) kept: bool,
    /// When.
    pub(crate) told_kept: Option<Moment>,
    /// When it was told that its responses are mended.
    pub(crate) told_mended: Option<Moment>,
    /// What it speaks, if that is not HTTP.
    pub(crate) protocol: Protocol,
}

/// A failure, for `/clusters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// In plain words.
    pub words: String,
    /// How long ago.
    pub ago: Duration,
    /// Attempts that failed since the last good answer.
    pub in_a_row: u32,
}

/// So many answers of 5xx in a row are no accident.
const FAILING_ROW: u32 = 5;

impl Attempted {
    /// What an attempt's summary says, where its endpoint is to blame for it.
    pub(crate) fn of(summary: &Summary) -> Self {
        match summary.result {
            Outcome::Status(status) => Self::Answered(status),
            Outcome::ConnectTimedOut => Self::ConnectTimedOut,
            Outcome::Died {
                end: End::ConnectFailed,
                ..
            } => Self::ConnectFailed,
            Outcome::Died {
                end: End::Other,
                grade: Grade::Begun,
            } => Self::Malformed,
            Outcome::Died { end, .. } => Self::Died(end),
        }
    }

    fn is_good(self) -> bool {
        matches!(self, Self::Answered(..500))
    }

    fn words(self) -> Cow<'static, str> {
        let words = match self {
            Self::Answered(status) => return format!("it answered {status}").into(),
            Self::ConnectFailed => "the connection could not be opened",
            Self::ConnectTimedOut => "the connection was not opened within the connect timeout",
            Self::Malformed => "its response was not HTTP/1.1",
            Self::Outrun => {
                "it did not answer a request that another endpoint answered (a hedge) in a quarter of the time"
            }
            Self::Died(End::Eof) => "it closed the connection before its response was complete (FIN)",
            Self::Died(End::Reset | End::BrokenPipe) => {
                "it reset the connection before its response was complete (RST)"
            }
            Self::Died(End::Farewell | End::Stale) => "it sent bytes that answered no request",
            Self::Died(End::Silent) => "it acknowledged nothing within the connect timeout",
            Self::Died(End::TimedOut) => "it did not answer within the timeout",
            Self::Died(End::ConnectFailed | End::Other) => "the connection failed",
        };
        words.into()
    }
}

impl Trouble {
    /// A connect failed; the system's words for it. The attempt itself is reported after.
    pub(crate) fn on_connect_error(&mut self, words: Cow<'static, str>) {
        self.connect = Some(words);
    }

    /// An attempt ended. Gives how many had failed in a row, if this one ends the row.
    pub(crate) fn on_attempt(&mut self, attempted: Attempted, now: Moment) -> u32 {
        if let Attempted::Answered(_) = attempted {
            self.protocol.is_http();
        }
        if attempted.is_good() {
            self.silent = false;
            return std::mem::take(&mut self.row);
        }
        self.row = self.row.saturating_add(1);
        self.silent = !matches!(attempted, Attempted::Answered(_));
        let connect = matches!(attempted, Attempted::ConnectFailed | Attempted::ConnectTimedOut);
        let told = self.connect.take().filter(|_| connect);
        self.last = Some((told.unwrap_or_else(|| attempted.words()), now));
        0
    }

    /// A health check failed, for this reason.
    pub(crate) fn on_check(&mut self, words: String, now: Moment) {
        self.last = Some((format!("health check: {words}").into(), now));
    }

    /// Whether its latest attempts say that it does not work, whether or not it may be ejected for it.
    pub(crate) fn is_failing(&self) -> bool {
        self.silent || self.row >= FAILING_ROW
    }

    /// Whether the last attempt was good.
    pub(crate) fn is_over(&self) -> bool {
        self.row == 0 && !self.silent
    }

    /// The last failure in words.
    pub(crate) fn words(&self) -> Option<String> {
        self.last.as_ref().map(|(words, _)| words.to_string())
    }

    /// The last failure, as it is shown at `now`.
    pub(crate) fn report(&self, now: Moment) -> Option<LastError> {
        let (words, at) = self.last.as_ref()?;
        Some(LastError {
            words: words.to_string(),
            ago: now.since(*at),
            in_a_row: self.row,
        })
    }
}
