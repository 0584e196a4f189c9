//! The wire: one thread that carries packets between two TUN devices with a one-way delay, in order.
//! A FIN really is in flight here, for as long as the wire is long.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use tun_rs::SyncDevice;

use super::flows::{Carriage, Flows, Note, Side};
use crate::Fallible;

/// A running wire. Dropping it stops its thread.
pub(crate) struct Wire {
    /// Its one-way delay.
    pub(crate) delay: Duration,
    flows: SharedFlows,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the wire saw, for those who ask while it runs.
#[derive(Clone, Default)]
pub(crate) struct SharedFlows(Arc<Mutex<Flows>>);

impl SharedFlows {
    /// Visits the flows. The wire waits meanwhile, so be short.
    pub(crate) fn with<T>(&self, visit: impl FnOnce(&mut Flows) -> T) -> T {
        visit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Wire {
    /// Starts to carry.
    ///
    /// # Errors
    /// When the thread can not be started.
    pub(crate) fn start(near: SyncDevice, far: SyncDevice, delay: Duration) -> Fallible<Self> {
        let flows = SharedFlows::default();
        let stop = Arc::new(AtomicBool::new(false));
        let carrier = Carrier {
            near,
            far,
            delay,
            flows: flows.clone(),
            under_way: VecDeque::new(),
            late: VecDeque::new(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("wire".into())
            .spawn(move || carrier.run(&stopped))?;
        Ok(Self {
            delay,
            flows,
            stop,
            thread: Some(thread),
        })
    }

    /// What it saw.
    pub(crate) fn flows(&self) -> SharedFlows {
        self.flows.clone()
    }

    /// Forgets everything seen, for a new run.
    pub(crate) fn forget(&self) {
        self.flows.with(|flows| *flows = Flows::default());
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Only a panic of the carrier fails this, and it has said so itself.
            let _ = thread.join();
        }
    }
}

struct Carrier {
    near: SyncDevice,
    far: SyncDevice,
    delay: Duration,
    flows: SharedFlows,
    under_way: VecDeque<Parcel>,
    /// What takes longer than the rest, each by as much.
    late: VecDeque<Parcel>,
}

struct Parcel {
    due: Instant,
    to: Side,
    packet: Vec<u8>,
    note: Option<Note>,
}

impl Carrier {
    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        while !stop.load(Ordering::Relaxed) {
            let fronts = [self.under_way.front(), self.late.front()];
            let due = fronts.into_iter().flatten().map(|parcel| parcel.due).min();
            let pause = due.map_or(PAUSE_MAX, |due| {
                due.saturating_duration_since(Instant::now()).min(PAUSE_MAX)
            });
            let mut ends = [
                PollFd::new(self.near.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.far.as_fd(), PollFlags::POLLIN),
            ];
            // An interrupted wait is as good as a finished one: every round looks at all there is.
            let _ = ppoll(&mut ends, Some(TimeSpec::from_duration(pause)), None);
            self.deliver_due();
            self.take_in(Side::Proxy, &mut buffer);
            self.take_in(Side::Backend, &mut buffer);
        }
    }

    fn take_in(&mut self, side: Side, buffer: &mut [u8]) {
        for _ in 0..PACKETS_PER_ROUND {
            let device = if side == Side::Proxy {
                &self.near
            } else {
                &self.far
            };
            let Ok(bytes) = device.recv(buffer) else { return };
            let (packet, now) = (&buffer[..bytes], Instant::now());
            let mut late = Duration::ZERO;
            let (to, packet, note) = match self.flows.with(|flows| flows.on_enter(side, packet, now)) {
                Carriage::Carry(note) => (other(side), packet.to_vec(), note),
                Carriage::Late(by) => {
                    late = by;
                    (other(side), packet.to_vec(), None)
                }
                Carriage::Return(answer) => (side, answer, None),
                Carriage::Drop => continue,
            };
            let queue = if late.is_zero() {
                &mut self.under_way
            } else {
                &mut self.late
            };
            queue.push_back(Parcel {
                due: now + self.delay + late,
                to,
                packet,
                note,
            });
        }
    }

    fn take_due(&mut self) -> Option<Parcel> {
        let now = Instant::now();
        let is_due = |queue: &&mut VecDeque<Parcel>| queue.front().is_some_and(|parcel| parcel.due <= now);
        [&mut self.under_way, &mut self.late]
            .into_iter()
            .find(is_due)?
            .pop_front()
    }

    fn deliver_due(&mut self) {
        while let Some(parcel) = self.take_due() {
            let device = if parcel.to == Side::Proxy {
                &self.near
            } else {
                &self.far
            };
            // Noted before it is handed over: the backend may answer within the same call.
            if let Some(note) = parcel.note {
                self.flows.with(|flows| flows.on_delivered(note));
            }
            // A device that is full or gone loses the packet, as networks do; TCP sends it again.
            let _ = device.send(&parcel.packet);
        }
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Proxy => Side::Backend,
        Side::Backend => Side::Proxy,
    }
}

/// More than any MTU of the lab.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// How long the carrier may sleep when nothing is under way: the time in which it notices its end.
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// Bounds how late a due packet can get while one end floods the wire.
const PACKETS_PER_ROUND: usize = 64;
