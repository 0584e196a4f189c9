//! Ctrl-C and SIGTERM end a run early and orderly, so that no namespace is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::Fallible;

/// Set when the run shall end.
pub(crate) type Stop = Arc<AtomicBool>;

/// A flag that the first SIGINT or SIGTERM sets.
///
/// # Errors
/// When signals can not be watched.
pub(crate) fn stop_on_signal() -> Fallible<Stop> {
    let stop = Stop::default();
    let flag = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        });
        flag.store(true, Ordering::SeqCst);
    });
    Ok(stop)
}
