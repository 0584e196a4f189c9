//! From the workers' buffers to a file: lines are handed over in batches, through one bounded
//! queue, to one writer thread. A worker never waits for a disk; when the queue is full the batch
//! is dropped and its lines are counted (`access_log.dropped`).

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::model::{AccessLog, LogFormat, LogSink};

use super::batch::Batch;
use crate::telemetry::stats::LogCounts;

/// Bytes of lines that may wait for the writer: about a second of a busy disk.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// Batches that may wait, those of workers with little to say included.
const QUEUE_BATCHES: usize = 256;

/// How long the end waits for lines to be written.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// Empty buffers kept for the workers.
const SPARE_BUFFERS: usize = 16;

/// The access log of one configuration: where lines go, and the thread that writes them. The thread
/// ends when the log and all of its handles are gone, after all lines are written.
#[derive(Debug)]
pub struct LogWriter {
    handle: LogHandle,
    ended: Option<Receiver<()>>,
}

/// What a worker sends lines through.
#[derive(Clone, Debug)]
pub struct LogHandle {
    queue: Option<SyncSender<Batch>>,
    format: LogFormat,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    counts: Arc<LogCounts>,
    /// Bytes that were handed over and are not written.
    waiting: AtomicUsize,
    spare: Mutex<Vec<Vec<u8>>>,
    reopen: AtomicBool,
    stop: AtomicBool,
}

impl LogWriter {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// The file cannot be opened or created, or there are no more threads.
    pub fn start(log: &AccessLog) -> io::Result<Self> {
        Self::counting(log, Arc::default())
    }

    /// The log of a new configuration, which goes on counting. This one's writer ends when its last
    /// handle is gone.
    ///
    /// # Errors
    /// As [`LogWriter::start`].
    pub fn successor(&self, log: &AccessLog) -> io::Result<Self> {
        Self::counting(log, self.counts())
    }

    fn counting(log: &AccessLog, counts: Arc<LogCounts>) -> io::Result<Self> {
        let format = log.format.clone();
        match &log.sink {
            LogSink::Off => Ok(Self {
                handle: LogHandle::new(None, format, counts),
                ended: None,
            }),
            LogSink::Stdout => Self::write_to(|| Ok(Box::new(io::stdout())), format, counts),
            LogSink::File(path) => {
                let path = path.clone();
                Self::write_to(move || open(&path), format, counts)
            }
        }
    }

    /// Starts a writer to what `open` opens, now and at each reopening.
    pub(super) fn write_to(
        mut open: impl FnMut() -> io::Result<Box<dyn Write + Send>> + Send + 'static,
        format: LogFormat,
        counts: Arc<LogCounts>,
    ) -> io::Result<Self> {
        let out = open()?;
        let (queue, batches) = sync_channel(QUEUE_BATCHES);
        let handle = LogHandle::new(Some(queue), format, counts);
        let (end, ended) = sync_channel(1);
        let writer = Writer {
            out,
            open,
            torn: false,
            shared: Arc::clone(&handle.shared),
        };
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || {
                writer.run(&batches);
                // Nobody waits unless `shutdown` does.
                let _ = end.send(());
            })?;
        Ok(Self {
            handle,
            ended: Some(ended),
        })
    }

    /// What a worker writes through.
    #[must_use]
    pub fn handle(&self) -> LogHandle {
        self.handle.clone()
    }

    /// What became of the lines.
    #[must_use]
    pub fn counts(&self) -> Arc<LogCounts> {
        Arc::clone(&self.handle.shared.counts)
    }

    /// Closes the file and opens it anew by its name, after a rotation. It happens soon; if it
    /// cannot be opened, the old one stays in use.
    pub fn reopen(&self) {
        self.handle.shared.reopen.store(true, Relaxed);
        self.handle.wake();
    }

    /// Writes what was handed over and ends the writer. Flush the workers' logs first. Waits no
    /// longer than two seconds: what it writes to may be stuck.
    pub fn finish(self) {
        self.handle.shared.stop.store(true, Relaxed);
        self.handle.wake();
        drop(self.handle);
        if let Some(ended) = self.ended
            && ended.recv_timeout(FINISH_MAX).is_err()
        {
            tracing::warn!("the access log could not be written to its end");
        }
    }
}

impl LogHandle {
    fn new(queue: Option<SyncSender<Batch>>, format: LogFormat, counts: Arc<LogCounts>) -> Self {
        let shared = Shared {
            counts,
            waiting: AtomicUsize::new(0),
            spare: Mutex::default(),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        };
        Self {
            queue,
            format,
            shared: Arc::new(shared),
        }
    }

    pub(super) fn format(&self) -> &LogFormat {
        &self.format
    }

    /// Whether lines go nowhere.
    pub(super) fn is_off(&self) -> bool {
        self.queue.is_none()
    }

    /// Sends a batch, or drops and counts it. An empty one takes its place.
    pub(super) fn send(&self, batch: &mut Batch) {
        let Some(queue) = &self.queue else { return };
        let empty = Batch::new(self.shared.spare_buffer());
        let full = std::mem::replace(batch, empty);
        if let Err(lost) = self.shared.send(queue, full) {
            self.shared.counts.dropped.fetch_add(lost.count(), Relaxed);
            self.shared.recycle(lost);
        }
    }

    /// A full queue needs no waking.
    fn wake(&self) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(Batch::default());
        }
    }
}

impl Shared {
    fn with_spare<T>(&self, visit: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        // Buffers are whole whatever happened to whoever held the lock.
        visit(&mut self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn spare_buffer(&self) -> Option<Vec<u8>> {
        self.with_spare(Vec::pop)
    }

    fn recycle(&self, batch: Batch) {
        if let Some(buffer) = batch.into_buffer() {
            self.with_spare(|spare| {
                if spare.len() < SPARE_BUFFERS {
                    spare.push(buffer);
                }
            });
        }
    }

    /// Puts a batch into the queue, or gives it back where too much waits.
    fn send(&self, queue: &SyncSender<Batch>, batch: Batch) -> Result<(), Batch> {
        let bytes = batch.lines().len();
        let room = |waiting| (waiting <= QUEUE_BYTES).then_some(waiting + bytes);
        if self.waiting.fetch_update(Relaxed, Relaxed, room).is_err() {
            return Err(batch);
        }
        queue
            .try_send(batch)
            .map_err(|(TrySendError::Full(lost) | TrySendError::Disconnected(lost))| {
                self.waiting.fetch_sub(bytes, Relaxed);
                lost
            })
    }
}

/// The thread that writes.
struct Writer<F> {
    out: Box<dyn Write + Send>,
    open: F,
    /// The last write failed, and may have left half a line.
    torn: bool,
    shared: Arc<Shared>,
}

impl<F: FnMut() -> io::Result<Box<dyn Write + Send>>> Writer<F> {
    fn run(mut self, batches: &Receiver<Batch>) {
        while let Ok(batch) = batches.recv() {
            self.take(batch);
            if self.shared.stop.load(Relaxed) {
                batches.try_iter().for_each(|batch| self.take(batch));
                return;
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        if self.shared.reopen.swap(false, Relaxed) {
            self.reopen();
        }
        if batch.count() > 0 {
            self.write(&batch);
            self.shared.waiting.fetch_sub(batch.lines().len(), Relaxed);
        }
        self.shared.recycle(batch);
    }

    fn write(&mut self, batch: &Batch) {
        let counts = &self.shared.counts;
        // Half a line must not swallow the next one.
        let mended = if self.torn {
            self.out.write_all(b"\n")
        } else {
            Ok(())
        };
        match mended
            .and_then(|()| self.out.write_all(batch.lines()))
            .and_then(|()| self.out.flush())
        {
            Ok(()) => {
                self.torn = false;
                counts.written.fetch_add(batch.count(), Relaxed);
            }
            Err(error) => {
                // Said once, counted each time: a full disk must not fill another one.
                if !self.torn {
                    tracing::warn!(%error, "the access log cannot be written; its lines are being dropped");
                }
                self.torn = true;
                counts.write_failed.fetch_add(1, Relaxed);
                counts.dropped.fetch_add(batch.count(), Relaxed);
            }
        }
    }

    fn reopen(&mut self) {
        match (self.open)() {
            Ok(out) => (self.out, self.torn) = (out, false),
            Err(error) => {
                self.shared.counts.reopen_failed.fetch_add(1, Relaxed);
                tracing::warn!(%error, "the access log cannot be opened anew; the old file stays in use");
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("access log {}: {error}", path.display()));
    Ok(Box::new(
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(named)?,
    ))
}

#[cfg(test)]
mod tests;
