//! Wake-ups to some ten microseconds. tokio's own timer counts whole milliseconds, which is as long as
//! what is measured here.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::Fallible;

/// All wake-ups of one thread, on one of the kernel's high-resolution timers.
pub(crate) struct Alarms {
    pending: RefCell<BinaryHeap<Reverse<Alarm>>>,
    timer: TimerFd,
    /// The same timer, as tokio waits for it: it is read as a pipe is.
    expired: pipe::Receiver,
}

struct Alarm {
    at: Instant,
    ring: oneshot::Sender<()>,
}

impl Alarms {
    /// None pending. Nothing rings unless [`Alarms::keep`] runs.
    ///
    /// # Errors
    /// The kernel's, or when this is no tokio runtime with IO.
    pub(crate) fn new() -> Fallible<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let expired = pipe::Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self {
            pending: RefCell::default(),
            timer,
            expired,
        })
    }

    /// Waits until `at`; returns at once if that is over.
    pub(crate) async fn until(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        let (ring, rung) = oneshot::channel();
        let is_next = {
            let mut pending = self.pending.borrow_mut();
            let is_next = pending.peek().is_none_or(|Reverse(next)| at < next.at);
            pending.push(Reverse(Alarm { at, ring }));
            is_next
        };
        if is_next {
            self.arm(at);
        }
        // Fails only when the keeper is gone, and with it the run.
        let _ = rung.await;
    }

    /// Waits this long.
    pub(crate) async fn after(&self, span: Duration) {
        self.until(Instant::now() + span).await;
    }

    /// Rings what is due, for ever.
    pub(crate) async fn keep(&self) {
        while self.expired.readable().await.is_ok() {
            // It fails where the timer was armed anew since; that is no reason to stop.
            let _ = self.expired.try_read(&mut [0; 8]);
            if let Some(next) = self.ring_due(Instant::now()) {
                self.arm(next);
            }
        }
    }

    /// Rings all that are due, and says when the next is.
    fn ring_due(&self, now: Instant) -> Option<Instant> {
        let mut pending = self.pending.borrow_mut();
        while pending.peek().is_some_and(|Reverse(next)| next.at <= now) {
            if let Some(Reverse(due)) = pending.pop() {
                // Whoever waited may have left.
                let _ = due.ring.send(());
            }
        }
        pending.peek().map(|Reverse(next)| next.at)
    }

    fn arm(&self, at: Instant) {
        // Zero would disarm it.
        let span = at
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let once = Expiration::OneShot(TimeSpec::from_duration(span));
        let armed = self.timer.set(once, TimerSetTimeFlags::empty());
        assert!(armed.is_ok(), "the kernel refuses a valid span: {armed:?}");
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Alarm {}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::overload::stage;

    #[test]
    fn alarms_ring_in_the_order_of_their_moments_and_never_early() {
        let rung = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&rung);
        stage::on_stage(async move |alarms| {
            let begin = Instant::now();
            let waits = [7_u64, 2, 5].map(|millis| {
                let (alarms, seen) = (Rc::clone(&alarms), Rc::clone(&seen));
                tokio::task::spawn_local(async move {
                    alarms.until(begin + Duration::from_millis(millis)).await;
                    assert!(begin.elapsed() >= Duration::from_millis(millis));
                    seen.borrow_mut().push(millis);
                })
            });
            for wait in waits {
                wait.await?;
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(*rung.borrow(), [2, 5, 7]);
    }
}
