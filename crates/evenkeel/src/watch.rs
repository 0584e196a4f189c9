//! Notices that the configuration changed on disk.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::files::{self, Files};

/// Editors and tools write a file in several steps; their dust settles within this.
const SETTLE: Duration = Duration::from_millis(100);
/// Network file systems tell of no change, so the content itself is looked at this often.
const POLL: Duration = Duration::from_secs(2);

/// Calls `changed` from a thread of its own after each change of content, until it returns false. `last`
/// is the fingerprint from before the configuration in force was read, so that no change is missed that
/// came since.
pub(crate) fn watch(
    files: Files,
    mut last: u64,
    mut changed: impl FnMut() -> bool + Send + 'static,
) -> std::io::Result<()> {
    thread::Builder::new().name("watch".into()).spawn(move || {
        let (tell, told) = channel();
        // The watcher lives as long as this thread; without one (no inotify left) polling serves.
        let _watcher = watcher(tell)
            .and_then(|mut watcher| {
                watcher.watch(&files::folder(&files.config), RecursiveMode::NonRecursive)?;
                Ok(watcher)
            })
            .inspect_err(|why| {
                tracing::warn!(
                    "the kernel reports no changes of {} ({why}): evenkeel looks for them every {} s",
                    files.config.display(),
                    POLL.as_secs()
                )
            });
        // What the files that the resources name were when a change of theirs was last told of.
        let mut told_of = None;
        loop {
            if (files.fingerprint(), files.stale()) != (last, told_of) {
                let (now, stale) = settled(&files);
                // Once they are read, they are as they were read: no news.
                let is_news = now != last || stale.is_some() && stale != told_of;
                if is_news && !changed() {
                    return;
                }
                (last, told_of) = (now, stale);
            }
            await_hint(&told);
        }
    })?;
    Ok(())
}

/// A watcher that passes on each event but those of reading, which are our own.
fn watcher(tell: Sender<()>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if !event.is_ok_and(|event| event.kind.is_access() && event.kind != written) {
            // Nobody listens any more only when the thread below has ended.
            tell.send(()).unwrap_or_default();
        }
    })
}

/// Returns when something may have changed: an event, or the poll's turn.
fn await_hint(told: &Receiver<()>) {
    match told.recv_timeout(POLL) {
        Ok(()) => while told.try_recv().is_ok() {},
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
    }
}

/// The fingerprint, once it has stayed the same for a while: a file that is being written is empty
/// or cut short until then.
fn settled(files: &Files) -> (u64, Option<u64>) {
    let look = || (files.fingerprint(), files.stale());
    let mut before = look();
    loop {
        thread::sleep(SETTLE);
        let now = look();
        if now == before {
            return now;
        }
        before = now;
    }
}
