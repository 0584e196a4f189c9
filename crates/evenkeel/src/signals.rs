//! Signals as values: a thread of its own waits for them and passes them on.

use std::process::ExitCode;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// SIGTERM or SIGINT: drain, or end at once if a drain is under way.
    End(Ending),
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: reopen log files.
    Reopen,
}

/// Which signal asked for the end; its number shows in the exit code of a hurried one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Ending {
    /// 128 and the signal's number, as shells expect.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Interrupt => ExitCode::from(130),
            Self::Terminate => ExitCode::from(143),
        }
    }
}

/// Calls `tell` for each signal, from a thread of its own, until it returns false. The handlers are
/// installed when this returns, so that no signal is lost.
pub(crate) fn listen(mut tell: impl FnMut(Ask) -> bool + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut handlers = runtime.block_on(async { Handlers::install() })?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            while let Some(ask) = handlers.next().await {
                if !tell(ask) {
                    break;
                }
            }
        });
    })?;
    Ok(())
}

struct Handlers {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    user: Signal,
}

impl Handlers {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Option<Ask> {
        tokio::select! {
            some = self.interrupt.recv() => some.map(|()| Ask::End(Ending::Interrupt)),
            some = self.terminate.recv() => some.map(|()| Ask::End(Ending::Terminate)),
            some = self.hang_up.recv() => some.map(|()| Ask::Reload),
            some = self.user.recv() => some.map(|()| Ask::Reopen),
        }
    }
}
