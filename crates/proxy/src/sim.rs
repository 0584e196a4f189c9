//! The entry for simulated worlds: the real worker on one thread, under time that jumps.
//!
//! ```text
//!   world (dev/sim): clients, endpoints, faults -- Stream, Network, Proxy --> Worker, as it always is
//!                                                  \-- now, sleep, spawn --> engine, virtual clock
//! ```
//! Sockets are real ones between tasks of this thread. Nothing else feeds the engine, chance comes
//! from the seed, and time moves only when nobody has anything left to do: so a seed tells the same
//! story each time, and an hour in which nothing happens costs nothing.

mod proxy;

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use policy::time::Moment;

use crate::engine::clock::Clock;
use crate::engine::{self, simulation as clock};
use crate::transport::read_write::write_all;
use crate::transport::{Transport, simulation as network};

pub use crate::transport::simulation::{Dialling, Network, use_network};
pub use proxy::Proxy;

/// Runs `main` on this thread, beginning at `begin`, with chance from `seed`; what it spawned ends
/// with it. Gives what it came to, and when.
///
/// # Errors
/// The kernel gives no `epoll`.
///
/// # Panics
/// Time stands still although tasks run, or nothing will ever happen again: either is a bug.
pub fn run<T: 'static>(
    begin: Moment,
    seed: u64,
    main: impl Future<Output = T> + 'static,
) -> io::Result<(T, Moment)> {
    let world = clock::Begun::at(begin, seed);
    let result = engine::run(Clock::start(), main)?;
    network::close();
    Ok((result, world.now()))
}

/// The simulated time.
///
/// # Panics
/// No world runs on this thread.
#[must_use]
pub fn now() -> Moment {
    clock::now().expect("no simulated world runs on this thread")
}

/// Waits for `span`, to the nanosecond.
pub async fn sleep(span: Duration) {
    engine::sleep(span).await;
}

/// Waits until `moment`, to the nanosecond.
pub async fn sleep_until(moment: Moment) {
    engine::sleep_until(moment).await;
}

/// Stops the proxy's process for `span`, as soon as it has nothing to do: its clock goes on, and what was due
/// meanwhile is late. All else in the world stands still as well.
pub fn freeze(span: Duration) {
    clock::freeze(span);
}

/// Starts a task of the world.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    engine::spawn(task);
}

/// A socket of the world's; dropping it closes it. A socket that is closed with bytes unread resets
/// its peer, as with TCP.
#[derive(Debug)]
pub struct Stream(Transport);

/// What a socket has to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Nothing yet.
    Nothing,
    /// Bytes.
    Bytes,
    /// The peer's end is closed.
    End,
}

impl Stream {
    /// Takes a non-blocking socket in.
    ///
    /// # Errors
    /// The kernel watches no more sockets.
    pub fn of(socket: OwnedFd) -> io::Result<Self> {
        Transport::of(socket).map(Self)
    }

    /// Waits until a read has something to say, and reads nothing.
    pub async fn readable(&self) {
        poll_fn(|cx| self.0.poll_read_ready(cx)).await;
    }

    /// Waits until the peer has ended its side, and leaves unread what there is.
    pub async fn ended(&self) {
        poll_fn(|cx| self.0.poll_ended(cx)).await;
    }

    /// Looks at what there is to read, without taking it.
    #[must_use]
    pub fn unread(&self) -> Unread {
        match self.0.peek(&mut [0]) {
            sys::Peek::Quiet => Unread::Nothing,
            sys::Peek::Bytes(_) => Unread::Bytes,
            sys::Peek::Fin | sys::Peek::Reset | sys::Peek::Failed(_) => Unread::End,
        }
    }

    /// Reads once. 0 is the end of the stream.
    ///
    /// # Errors
    /// How the connection failed.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.0.poll_read(cx, buffer)).await
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// How the connection failed.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        write_all(&self.0, bytes).await
    }

    /// Says that no more will be written: a FIN. A peer that is gone needs no telling.
    pub fn finish(&self) {
        let _ = self.0.shut_down_write();
    }
}
