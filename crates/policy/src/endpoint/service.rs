//! Whether an endpoint is in service, as far as its answers, checks and closes tell.

mod trouble;

use crate::endpoint::leaving::Leaving;
use crate::health::Health;
use crate::outlier::{Ejection, Standing};
use crate::time::Moment;

pub use trouble::LastError;
pub(crate) use trouble::{Attempted, Trouble};

/// What decides whether an endpoint is chosen.
#[derive(Debug)]
pub(crate) struct Service {
    /// `None` while no snapshot holds it.
    pub(crate) standing: Option<Standing>,
    /// `None` until checks of it begin.
    pub(crate) health: Option<Health>,
    pub(crate) leaving: Leaving,
    /// When a snapshot took it in.
    pub(crate) added: Moment,
    /// Whether it is among those that its cluster counts as out.
    pub(crate) counted_out: bool,
    /// Attempts that it answered, but for 5xx.
    pub(crate) success: u64,
    /// Attempts that it failed. A keep-alive race is none.
    pub(crate) error: u64,
    /// What it failed at last.
    pub(crate) trouble: Trouble,
    /// The ejection that the log was last told of, until its end is told too.
    pub(crate) told_ejection: Option<Ejection>,
}

/// How an endpoint stands, for `/clusters`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServiceReport {
    /// It is out for what it answered, or did not.
    pub failed_outlier_check: bool,
    /// It is out by active checks.
    pub failed_active_check: bool,
    /// It is in use, but its latest attempts failed: the last got no answer, or several answers in a row
    /// were 5xx. It is not ejected, because that has not been decided yet or may not be.
    pub failing: bool,
    /// Its ejection, while that lasts.
    pub ejection: Option<Ejection>,
    /// It seems to leave or to stall: others are preferred.
    pub leaving: bool,
    /// Attempts that it answered, but for 5xx (`rq_success`).
    pub rq_success: u64,
    /// Attempts that it failed (`rq_error`).
    pub rq_error: u64,
}

impl ServiceReport {
    /// Envoy's `health_flags`: `healthy`, or each reason why not. `/failing` is ours: Envoy calls an
    /// endpoint healthy that fails every request but may not be ejected.
    #[must_use]
    pub fn flags(&self) -> String {
        let flags = [
            (self.failed_active_check, "/failed_active_hc"),
            (self.failed_outlier_check, "/failed_outlier_check"),
            (self.failing, "/failing"),
        ];
        let text: String = flags
            .iter()
            .filter(|(on, _)| *on)
            .map(|&(_, flag)| flag)
            .collect();
        if text.is_empty() { "healthy".into() } else { text }
    }

    /// The share of good answers so far, in percent; `None` before the first.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        let all = self.rq_success + self.rq_error;
        (all > 0).then(|| self.rq_success as f64 * 100.0 / all as f64)
    }
}

impl Service {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            standing: None,
            health: None,
            leaving: Leaving::default(),
            added: now,
            counted_out: false,
            success: 0,
            error: 0,
            trouble: Trouble::default(),
            told_ejection: None,
        }
    }

    /// Whether it is neither ejected nor out by checks.
    pub(crate) fn serves(&self, now: Moment) -> bool {
        self.standing.as_ref().is_none_or(|standing| standing.serves(now))
            && self.health.as_ref().is_none_or(Health::serves)
    }

    /// Since when, as far as it does, for slow start.
    pub(crate) fn since(&self, now: Moment) -> Moment {
        let standing = self.standing.as_ref();
        let standing = standing.and_then(|standing| standing.serving_since(now));
        let health = self.health.as_ref().map(Health::since);
        self.added
            .max(standing.unwrap_or_default())
            .max(health.unwrap_or_default())
    }

    /// Whether a good answer changes nothing that is shown or told of it.
    pub(crate) fn is_quiet(&self) -> bool {
        self.told_ejection.is_none() && self.trouble.is_over()
    }

    /// Whether its ejection is another than the one that the log was told of.
    pub(crate) fn has_untold_standing(&self, now: Moment) -> bool {
        let standing = self.standing.as_ref();
        standing.and_then(|standing| standing.ejection(now)) != self.told_ejection
    }

    pub(crate) fn report(&self, now: Moment) -> ServiceReport {
        let ejection = self.standing.as_ref();
        let ejection = ejection.and_then(|standing| standing.ejection(now));
        ServiceReport {
            failed_outlier_check: ejection.is_some(),
            failing: ejection.is_none() && self.trouble.is_failing(),
            ejection,
            failed_active_check: self.health.as_ref().is_some_and(|health| !health.serves()),
            leaving: self.leaving.is_away(now),
            rq_success: self.success,
            rq_error: self.error,
        }
    }
}
