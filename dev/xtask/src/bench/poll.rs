//! Readiness for the rig's loops: a thin face over epoll, level-triggered.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::Fallible;

/// What a loop waits on.
pub(super) struct Poller {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

/// What to be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Bytes to read, or an end.
    Read,
    /// Room to write.
    Write,
    /// Only errors.
    Nothing,
}

impl Poller {
    /// One that watches nothing yet.
    ///
    /// # Errors
    /// When the kernel has none.
    pub(super) fn new() -> Fallible<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); EVENTS_MAX],
        })
    }

    /// Watches `file` from now on; closing it ends that.
    ///
    /// # Errors
    /// When it can not be watched.
    pub(super) fn watch(&self, file: impl AsFd, token: usize, interest: Interest) -> Fallible<()> {
        Ok(self.epoll.add(file, interest.event(token))?)
    }

    /// Changes what `file` is watched for.
    ///
    /// # Errors
    /// When it was not watched.
    pub(super) fn change(&self, file: impl AsFd, token: usize, interest: Interest) -> Fallible<()> {
        Ok(self.epoll.modify(file, &mut interest.event(token))?)
    }

    /// Waits, at most for a tenth of a second, and appends the tokens of what is ready.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub(super) fn wait(&mut self, ready: &mut Vec<usize>) -> Fallible<()> {
        ready.clear();
        let count = match self.epoll.wait(&mut self.events, WAIT_MS) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(why) => return Err(why.into()),
        };
        ready.extend(self.events[..count].iter().map(|event| event.data() as usize));
        Ok(())
    }
}

impl Interest {
    fn event(self, token: usize) -> EpollEvent {
        let flags = match self {
            Self::Read => EpollFlags::EPOLLIN,
            Self::Write => EpollFlags::EPOLLOUT,
            Self::Nothing => EpollFlags::empty(),
        };
        EpollEvent::new(flags, token as u64)
    }
}

const EVENTS_MAX: usize = 512;
/// How long a loop sleeps at most before it looks whether it shall end.
const WAIT_MS: u8 = 100;
