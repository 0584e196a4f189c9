//! The floor: a byte forwarder on epoll, one thread, one upstream connection for each client connection.
//! No proxy that reads HTTP can be expected to cost less by user code alone.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};

use clap::Args;

use super::poll::{Interest, Poller};
use crate::Fallible;

/// What the hidden subcommand takes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct FloorArgs {
    /// Where to listen
    listen: SocketAddrV4,
    /// Where everything goes
    upstream: SocketAddrV4,
}

/// Forwards until it is killed.
///
/// # Errors
/// When it can not listen.
pub(crate) fn run(args: FloorArgs) -> Fallible<()> {
    let listener = TcpListener::bind(args.listen)?;
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    poller.watch(&listener, LISTENER, Interest::Read)?;
    let mut floor = Floor {
        poller,
        pairs: Vec::new(),
        free: Vec::new(),
    };
    let (mut ready, mut scratch) = (Vec::new(), vec![0; SCRATCH_BYTES]);
    loop {
        floor.poller.wait(&mut ready)?;
        for token in ready.drain(..) {
            match token.checked_sub(1) {
                None => floor.accept(&listener, args.upstream)?,
                Some(side) => floor.forward(side, &mut scratch)?,
            }
        }
    }
}

/// Sides are numbered: side `2n` is pair `n`'s client, `2n + 1` its upstream. A token is a side's number
/// behind the listener's.
struct Floor {
    poller: Poller,
    pairs: Vec<Option<[Side; 2]>>,
    free: Vec<usize>,
}

struct Side {
    stream: TcpStream,
    /// Bytes for it that it did not take yet. While there are any, nothing more is read for it.
    unsent: Vec<u8>,
    /// Whether it has ended its sending half.
    ended: bool,
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener, upstream: SocketAddrV4) -> Fallible<()> {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => continue,
            };
            // A client whose upstream cannot be had is closed.
            let Ok(upstream) = TcpStream::connect(upstream) else {
                continue;
            };
            let pair = self.free.pop().unwrap_or(self.pairs.len());
            if pair == self.pairs.len() {
                self.pairs.push(None);
            }
            let side = |stream: TcpStream, number: usize| -> Fallible<Side> {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                self.poller
                    .watch(&stream, LISTENER + 1 + 2 * pair + number, Interest::Read)?;
                Ok(Side {
                    stream,
                    unsent: Vec::new(),
                    ended: false,
                })
            };
            self.pairs[pair] = Some([side(client, 0)?, side(upstream, 1)?]);
        }
    }

    /// Serves one side that is ready: writes what waits for it, or else reads from it for the other.
    fn forward(&mut self, side: usize, scratch: &mut [u8]) -> Fallible<()> {
        let (number, which) = (side / 2, side % 2);
        let Some(pair) = self.pairs.get_mut(number).and_then(Option::as_mut) else {
            return Ok(());
        };
        let went = if pair[which].unsent.is_empty() {
            pump(pair, which, scratch)
        } else {
            flush(&mut pair[which])
        };
        if went.is_err() || pair.iter().all(|side| side.ended && side.unsent.is_empty()) {
            self.pairs[number] = None;
            self.free.push(number);
            return Ok(());
        }
        if !went.is_ok_and(|changed| changed) {
            return Ok(());
        }
        for (at, side) in pair.iter().enumerate() {
            let interest = if !side.unsent.is_empty() {
                Interest::Write
            } else if side.ended || !pair[1 - at].unsent.is_empty() {
                Interest::Nothing
            } else {
                Interest::Read
            };
            let token = LISTENER + 1 + 2 * number + at;
            self.poller.change(&side.stream, token, interest)?;
        }
        Ok(())
    }
}

/// Moves what one side has to the other; whether from now on they wait for something else.
fn pump(pair: &mut [Side; 2], from: usize, scratch: &mut [u8]) -> std::io::Result<bool> {
    let [first, second] = pair;
    let (from, to) = if from == 0 {
        (first, second)
    } else {
        (second, first)
    };
    match from.stream.read(scratch) {
        Ok(0) => {
            from.ended = true;
            // The other may have closed already.
            let _ = to.stream.shutdown(Shutdown::Write);
            Ok(true)
        }
        Ok(count) => {
            let sent = match to.stream.write(&scratch[..count]) {
                Ok(sent) => sent,
                Err(why) if why.kind() == ErrorKind::WouldBlock => 0,
                Err(why) => return Err(why),
            };
            to.unsent.extend_from_slice(&scratch[sent..count]);
            Ok(sent < count)
        }
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(why) => Err(why),
    }
}

/// Writes what waits for a side; whether all of it is gone, so that they wait for something else.
fn flush(side: &mut Side) -> std::io::Result<bool> {
    match side.stream.write(&side.unsent) {
        Ok(count) => {
            side.unsent.drain(..count);
            Ok(side.unsent.is_empty())
        }
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(why) => Err(why),
    }
}

const LISTENER: usize = 0;
const SCRATCH_BYTES: usize = 64 * 1024;
