//! What an attempt remembers of its connection's failures: the facts that its grade is made of.

use std::cell::Cell;
use std::io;

use policy::evidence::{End, Facts, Written};

use super::lease::Lease;

/// What is remembered for the case that the attempt dies.
#[derive(Debug)]
pub(super) struct FailureEvidence {
    pub(super) head_len: usize,
    /// The first failing call's error. After a bare RST the first call says ECONNRESET and takes
    /// the error away; a read after it says end of file, like after a FIN.
    pub(super) first_error: Cell<Option<io::ErrorKind>>,
    /// A byte of the response was received.
    pub(super) begun: Cell<bool>,
    /// It was received before all of the request had been acknowledged.
    pub(super) early: Cell<bool>,
}

impl FailureEvidence {
    pub(super) fn facts(&self, lease: &Lease<'_>, end: End) -> Facts {
        let written = match lease.written() {
            0 => Written::Nothing,
            part if part < self.head_len as u64 => Written::PartOfHead,
            _ => Written::WholeHead,
        };
        // At once: an endpoint that half-closed and drains acknowledges what comes later.
        let acknowledged = lease.acknowledged();
        Facts {
            written,
            end,
            ended_before_write: false,
            head_bytes: self.head_len as u64,
            acknowledged,
            response_begun: self.begun.get(),
        }
    }

    /// Notes a failed call; says what it means for the connection.
    pub(super) fn note(&self, error: &io::Error) -> End {
        if self.first_error.get().is_none() {
            self.first_error.set(Some(error.kind()));
        }
        self.meaning()
    }

    /// What the first failing call said, or an end of file with none before it.
    pub(super) fn meaning(&self) -> End {
        match self.first_error.get() {
            None => End::Eof,
            Some(io::ErrorKind::BrokenPipe) => End::BrokenPipe,
            Some(io::ErrorKind::ConnectionReset) => End::Reset,
            Some(_) => End::Other,
        }
    }
}
