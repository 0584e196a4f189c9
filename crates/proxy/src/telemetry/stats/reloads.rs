//! What became of the configurations that were given: for metrics, `/server_info` and alerts.

use std::time::SystemTime;

/// The configurations given so far, the one at the start included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloads {
    /// Put in force.
    pub applied: u64,
    /// Rejected; the one in force stayed.
    pub rejected: u64,
    /// When the one in force was applied.
    pub applied_at: SystemTime,
    /// When the last one was given.
    pub last_at: SystemTime,
    /// Why the last one was rejected, in one line; `None` if it was applied.
    pub rejection: Option<String>,
}

/// More of a reason is cut: the log has all of it.
const REASON_CHARS_MAX: usize = 1000;

impl Reloads {
    /// The first configuration was applied.
    #[must_use]
    pub fn start(now: SystemTime) -> Self {
        Self {
            applied: 1,
            rejected: 0,
            applied_at: now,
            last_at: now,
            rejection: None,
        }
    }

    pub(crate) fn on_applied(&mut self, now: SystemTime) {
        self.applied += 1;
        (self.applied_at, self.last_at) = (now, now);
        self.rejection = None;
    }

    pub(crate) fn on_rejected(&mut self, why: &str, now: SystemTime) {
        self.rejected += 1;
        self.last_at = now;
        let one_line = why.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.rejection = Some(one_line.take(REASON_CHARS_MAX).collect());
    }

    /// Whether the last configuration given is the one in force.
    #[must_use]
    pub fn last_ok(&self) -> bool {
        self.rejection.is_none()
    }
}

/// Whole seconds since 1970, as Prometheus has timestamps; 0 before.
pub(crate) fn unix_seconds(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rejection_is_kept_in_one_line_until_a_configuration_is_applied() {
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        let mut reloads = Reloads::start(at(10));
        assert!(reloads.last_ok());
        reloads.on_rejected("no such\nfield", at(20));
        assert_eq!(reloads.rejection.as_deref(), Some("no such field"));
        assert_eq!((reloads.applied_at, reloads.last_at), (at(10), at(20)));
        reloads.on_applied(at(30));
        assert!(reloads.last_ok());
        assert_eq!(
            (reloads.applied, reloads.rejected, reloads.applied_at),
            (2, 1, at(30))
        );
    }
}
