//! Notices that the configuration changed on disk.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};

use crate::files;

/// Editors and tools write a file in several steps; their dust settles within this.
const SETTLE: Duration = Duration::from_millis(100);
/// Network file systems tell of no change, so the content itself is looked at this often.
const POLL: Duration = Duration::from_secs(2);

/// Calls `changed` from a thread of its own after each change of content, until it returns false.
pub(crate) fn watch(
    path: PathBuf,
    mut changed: impl FnMut() -> bool + Send + 'static,
) -> std::io::Result<()> {
    let mut last = files::fingerprint(&path);
    thread::Builder::new().name("watch".into()).spawn(move || {
        let (tell, told) = channel();
        // The watcher lives as long as this thread; without one (no inotify left) polling serves.
        let _watcher = notify::recommended_watcher(move |_| tell.send(()).unwrap_or_default())
            .and_then(|mut watcher| {
                watcher.watch(&files::folder(&path), RecursiveMode::NonRecursive)?;
                Ok(watcher)
            })
            .inspect_err(|why| tracing::warn!("{}: polled only: {why}", path.display()));
        loop {
            await_hint(&told);
            let now = files::fingerprint(&path);
            if now != last && !changed() {
                return;
            }
            last = now;
        }
    })?;
    Ok(())
}

/// Returns when something may have changed: an event and the quiet after it, or the poll's turn.
fn await_hint(told: &Receiver<()>) {
    match told.recv_timeout(POLL) {
        Ok(()) => while told.recv_timeout(SETTLE).is_ok() {},
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
    }
}
