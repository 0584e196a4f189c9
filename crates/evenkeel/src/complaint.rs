//! What went wrong and what to do next, as the operator reads it.

use std::fmt;

/// A failure that ends the process: never only a symptom, always with the next step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    what: String,
    next: Option<String>,
}

impl Complaint {
    /// A failure and what the operator can do about it.
    pub(crate) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: Some(next.into()),
        }
    }

    /// A text that already says what to do, printed as it is.
    pub(crate) fn rendered(text: impl Into<String>) -> Self {
        Self {
            what: text.into(),
            next: None,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.next {
            Some(next) => writeln!(out, "error: {}\n next: {next}", self.what),
            None => writeln!(out, "{}", self.what.trim_end()),
        }
    }
}
