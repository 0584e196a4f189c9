//! A checkout's decision as the log tells it.

use std::fmt;

use policy::cluster::{Checkout, Writing};

use crate::telemetry::stats::shown;

/// A checkout's decision in words, for the log.
pub(super) struct Decision<'a>(pub(super) &'a Checkout);

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Checkout::Reuse(reused) => write!(
                f,
                "an idle connection of age {} ms, written {}",
                reused.facts.idle_age.as_millis(),
                match reused.writing {
                    Writing::Direct => "at once",
                    Writing::TwoStep => "in two steps",
                }
            ),
            Checkout::Open { address, .. } => write!(f, "a new connection to {}", shown(address)),
            Checkout::Queue(_) => f.write_str("a place in the queue"),
            Checkout::Refuse(refusal) => write!(f, "a refusal: {refusal:?}"),
        }
    }
}
