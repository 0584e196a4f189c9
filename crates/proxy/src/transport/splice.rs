//! Large bodies pass from socket to socket inside the kernel, without a copy in our memory.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;

use policy::deadline::Turn;
use sys::Pipe;

use crate::transport::Transport;
use crate::transport::progress::{Direction, ProgressCounter};

/// Below this a copy is cheaper than the pipe's system calls.
pub(crate) const SPLICE_MIN: u64 = 256 * 1024;

/// Pipes kept for the next body; each is two descriptors.
const KEPT: usize = 32;

thread_local! {
    static SPARE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// Why bytes do not pass any more.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The side they come from ended or failed.
    Source,
    /// … by an RST.
    SourceReset,
    /// The side they go to takes no more.
    Sink,
}

/// Passes `length` bytes on; says how many were passed.
///
/// # Errors
/// A side ended before that. `None` if there are no descriptors for a pipe, and nothing was passed.
pub(crate) async fn pass(
    from: &Transport,
    to: &Transport,
    length: u64,
    passed: &mut u64,
    progress: &ProgressCounter,
) -> Option<Result<(), Stopped>> {
    let mut pipe = spare().ok()?;
    let result = pump(&mut pipe, from, to, length, passed, progress).await;
    if pipe.held() == 0 {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT {
                spare.push(pipe);
            }
        });
    }
    Some(result)
}

async fn pump(
    pipe: &mut Pipe,
    from: &Transport,
    to: &Transport,
    length: u64,
    passed: &mut u64,
    progress: &ProgressCounter,
) -> Result<(), Stopped> {
    while *passed < length {
        match poll_fn(|cx| from.poll_fill(cx, pipe, length - *passed)).await {
            Ok(count) if count > 0 => progress.advance(),
            Ok(_) => return Err(Stopped::Source),
            Err(_) => return Err(Stopped::SourceReset),
        }
        while pipe.held() > 0 {
            progress.turn(Direction::Down, Turn::Client);
            let taken = poll_fn(|cx| to.poll_drain(cx, pipe)).await;
            progress.turn(Direction::Down, Turn::Endpoint);
            match taken {
                Ok(count) if count > 0 => *passed += count as u64,
                _ => return Err(Stopped::Sink),
            }
            progress.advance();
        }
    }
    Ok(())
}

fn spare() -> io::Result<Pipe> {
    SPARE.with_borrow_mut(Vec::pop).map_or_else(Pipe::new, Ok)
}
