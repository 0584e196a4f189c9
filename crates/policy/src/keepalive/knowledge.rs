//! What was learned, as the admin and the log tell it.

use std::time::Duration;

use super::{Band, Limit, Source};

/// Everything the admin and the log tell of what was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knowledge {
    /// The limit in force.
    pub limit: Limit,
    /// The last hint.
    pub hint: Option<Duration>,
    /// The wall: the band of ages at which the endpoint closes, and how many closes agreed.
    pub wall: Option<Band>,
    /// Closes of idle connections that were seen (a burst counts once).
    pub closes: u32,
    /// … of these, at ages that agree with no wall.
    pub scatter: u32,
    /// Closes by a bare RST.
    pub resets: u64,
}

impl Knowledge {
    /// One plain sentence on what was learned, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let limit = Seconds(self.limit.reuse);
        match (self.limit.source, self.wall) {
            (Source::Learned { closes, wall }, _) => format!(
                "closes idle connections after {}, as {closes} of {} closes; connections are reused up to {limit}",
                Seconds(wall),
                self.closes
            ),
            (Source::Hint, Some(wall)) => format!(
                "announces to close after {}, closes after {}; connections are reused up to {limit}",
                Seconds(self.hint.unwrap_or_default()),
                Seconds(wall.lo)
            ),
            (Source::Hint, None) => format!(
                "announces to close idle connections after {}; connections are reused up to {limit}",
                Seconds(self.hint.unwrap_or_default())
            ),
            (Source::Configured, _) if self.closes == 0 => {
                format!("has not been seen to close an idle connection; connections are reused up to {limit}")
            }
            (Source::Configured, _) => format!(
                "closed {} idle connections at no fixed age; connections are reused up to {limit}",
                self.closes
            ),
        }
    }
}

/// A duration as people read it: `5.001 s`, `397 ms`.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.3} s", self.0.as_secs_f64())
        }
    }
}
