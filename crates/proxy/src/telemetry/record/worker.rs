//! What a worker keeps of the log: a buffer of lines, and the arenas of its records.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use config::model::LogFormat;
use policy::time::Moment;

use super::batch::Batch;
use super::line_writer::MARGIN;
use super::sink::LogHandle;
use super::stamp::Stamp;
use super::{Facts, json, line};
use crate::telemetry::stats::WorkerStats;

/// Arenas kept for records: as many as a worker usually has exchanges at once.
const SPARE_ARENAS: usize = 256;

/// An arena that a rare long head has grown past this is given up.
const ARENA_BYTES_KEPT: usize = 8 * 1024;

/// What a line takes at most besides its texts: keys, numbers, addresses, flags.
const LINE_BYTES_MAX: usize = 2048;

/// One worker's share of the log. Records write into it; it does not leave its thread.
pub struct WorkerLog {
    handle: LogHandle,
    stats: Arc<WorkerStats>,
    clock: Box<dyn Fn() -> Moment>,
    /// Told when a line is written where none was waiting.
    begun: Box<dyn Fn()>,
    local: RefCell<Local>,
    ending: Cell<bool>,
}

struct Local {
    batch: Batch,
    stamp: Stamp,
    arenas: Vec<Vec<u8>>,
}

impl WorkerLog {
    /// The log of the worker that counts in `stats`. `clock` says when a record ended that nobody
    /// finished. `begun` is called when a line is written where none was waiting: [`WorkerLog::flush`] is to be
    /// called some time later.
    #[must_use]
    pub fn new(
        handle: LogHandle,
        stats: Arc<WorkerStats>,
        clock: impl Fn() -> Moment + 'static,
        begun: impl Fn() + 'static,
    ) -> Rc<Self> {
        let local = Local {
            batch: Batch::default(),
            stamp: Stamp::new(),
            arenas: Vec::new(),
        };
        Rc::new(Self {
            handle,
            stats,
            clock: Box::new(clock),
            begun: Box::new(begun),
            local: RefCell::new(local),
            ending: Cell::new(false),
        })
    }

    /// Hands over the lines written since the last time, if there are any. Call it some time after the first was
    /// written, and before the end.
    pub fn flush(&self) {
        // Not the usual borrow, because this also runs while a panic unwinds, and a second panic
        // would end the process.
        if let Ok(mut local) = self.local.try_borrow_mut()
            && local.batch.count() > 0
        {
            self.handle.send(&mut local.batch);
        }
    }

    /// The drain's time is up: records that nobody finishes from now on were cut by it.
    pub fn end(&self) {
        self.ending.set(true);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    pub(super) fn stats(&self) -> &WorkerStats {
        &self.stats
    }

    pub(super) fn now(&self) -> Moment {
        (self.clock)()
    }

    /// Whether records become lines.
    pub(super) fn is_on(&self) -> bool {
        !self.handle.is_off()
    }

    /// Whether those lines are of JSON.
    pub(super) fn is_json(&self) -> bool {
        *self.handle.format() == LogFormat::Json
    }

    /// Memory for a record's texts; none while the log is off.
    pub(super) fn borrow_arena(&self) -> Vec<u8> {
        if self.handle.is_off() {
            return Vec::new();
        }
        self.local
            .try_borrow_mut()
            .ok()
            .and_then(|mut local| local.arenas.pop())
            .unwrap_or_default()
    }

    pub(super) fn return_arena(&self, mut arena: Vec<u8>) {
        if arena.capacity() > ARENA_BYTES_KEPT {
            return;
        }
        arena.clear();
        if let Ok(mut local) = self.local.try_borrow_mut()
            && local.arenas.len() < SPARE_ARENAS
        {
            local.arenas.push(arena);
        }
    }

    pub(super) fn write(&self, facts: &Facts) {
        let Ok(mut local) = self.local.try_borrow_mut() else {
            return;
        };
        let Local { batch, stamp, .. } = &mut *local;
        let most = LINE_BYTES_MAX + facts.texts.len() * json::ESCAPE_MAX + MARGIN;
        if !batch.fits(most) && batch.count() > 0 {
            self.handle.send(batch);
        }
        let now = facts.end.unwrap_or(facts.start);
        batch.write(most, now, |writer| match self.handle.format() {
            LogFormat::Text => line::write(facts, stamp, writer),
            LogFormat::Json => json::write(facts, stamp, writer),
        });
        if batch.is_due(now) {
            self.handle.send(batch);
        } else if batch.count() == 1 {
            (self.begun)();
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl std::fmt::Debug for WorkerLog {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("WorkerLog")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
