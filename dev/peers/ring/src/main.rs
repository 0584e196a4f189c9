//! The floor of `cargo xtask bench` on io_uring instead of epoll: a byte forwarder, one thread, one upstream
//! connection for each client connection. What it costs less than the floor is what io_uring could save a proxy.
//!
//! ```text
//!   side: Receiving --bytes--> Sending, to the other side --all of them sent--> Receiving
//!              '--end, error--> its pair ends
//! ```
//! One call of the kernel for all that is to be done and all that is done, sockets registered with the ring.

use std::env;
use std::io;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;
use socket2::SockRef;

/// What one receive takes at most.
const BUFFER_BYTES: usize = 64 * 1024;

/// What is to be done in one call at most; each side has one thing under way.
const ENTRIES: u32 = 4096;

/// Sides that there may be. The kernel registers no more than the limit on open descriptors.
const SIDES_MAX: u32 = 16_000;

/// What is under way for the listener has this number; sides have their own, from 0.
const LISTENER: u64 = u64::MAX;

/// One end of a pair: a client's connection, or the one that was opened for it.
struct Side {
    /// Closed when it is dropped.
    stream: TcpStream,
    other: usize,
    /// Received of it, and sent on to the other one from `sent` to `count`.
    buffer: Box<[u8]>,
    sent: usize,
    count: usize,
    doing: Doing,
    /// Its pair has ended; it goes as soon as the kernel has let go of its buffer.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Receiving,
    Sending,
    /// The kernel has nothing of it any more.
    Nothing,
}

struct Forwarder {
    ring: IoUring,
    sides: Slab<Side>,
    upstream: SocketAddrV4,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [listen, upstream] = words.as_slice() else {
        eprintln!("usage: evenkeel-peer-ring LISTEN UPSTREAM");
        std::process::exit(2);
    };
    let listener = TcpListener::bind(address(listen))?;
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(ENTRIES)?;
    ring.submitter().register_files_sparse(SIDES_MAX)?;
    let mut forwarder = Forwarder {
        ring,
        sides: Slab::new(),
        upstream: address(upstream),
    };
    forwarder.accept(listener.as_raw_fd())?;
    let mut done: Vec<(u64, i32)> = Vec::new();
    loop {
        forwarder.ring.submit_and_wait(1)?;
        let completions = forwarder.ring.completion();
        done.extend(completions.map(|entry: cqueue::Entry| (entry.user_data(), entry.result())));
        for (whose, result) in done.drain(..) {
            if whose == LISTENER {
                forwarder.accept(listener.as_raw_fd())?;
                forwarder.open(result)?;
            } else {
                forwarder.go_on(whose as usize, result)?;
            }
        }
    }
}

fn address(word: &str) -> SocketAddrV4 {
    word.parse().unwrap_or_else(|_| {
        eprintln!("{word} is no address: write 127.0.0.1:8080");
        std::process::exit(2);
    })
}

impl Forwarder {
    /// Puts something on the list of what is to be done.
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: what an entry points to is a side's buffer, on the heap. A side is dropped only when nothing
        // of it is under way (`Doing::Nothing`), and its buffer is touched only then.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }

    fn accept(&mut self, listener: RawFd) -> io::Result<()> {
        let accept = opcode::Accept::new(types::Fd(listener), std::ptr::null_mut(), std::ptr::null_mut());
        self.push(&accept.build().user_data(LISTENER))
    }

    /// A client has come; one whose upstream cannot be had is closed.
    fn open(&mut self, accepted: i32) -> io::Result<()> {
        if accepted < 0 {
            return Ok(());
        }
        // SAFETY: the kernel has just given us this descriptor.
        let client = unsafe { <TcpStream as std::os::fd::FromRawFd>::from_raw_fd(accepted) };
        let Ok(upstream) = TcpStream::connect(self.upstream) else {
            return Ok(());
        };
        let first = self.side(client)?;
        let second = self.side(upstream)?;
        (self.sides[first].other, self.sides[second].other) = (second, first);
        self.receive(first)?;
        self.receive(second)
    }

    fn side(&mut self, stream: TcpStream) -> io::Result<usize> {
        SockRef::from(&stream).set_tcp_nodelay(true)?;
        let descriptor = stream.as_raw_fd();
        let side = self.sides.insert(Side {
            stream,
            other: 0,
            buffer: vec![0; BUFFER_BYTES].into(),
            sent: 0,
            count: 0,
            doing: Doing::Nothing,
            ended: false,
        });
        let submitter = self.ring.submitter();
        submitter.register_files_update(side as u32, &[descriptor])?;
        Ok(side)
    }

    fn receive(&mut self, number: usize) -> io::Result<()> {
        let side = &mut self.sides[number];
        side.doing = Doing::Receiving;
        let buffer = &mut side.buffer;
        let receive = opcode::Recv::new(
            types::Fixed(number as u32),
            buffer.as_mut_ptr(),
            buffer.len() as u32,
        );
        self.push(&receive.build().user_data(number as u64))
    }

    fn send(&mut self, number: usize) -> io::Result<()> {
        let side = &mut self.sides[number];
        side.doing = Doing::Sending;
        let left = &side.buffer[side.sent..side.count];
        let send = opcode::Send::new(
            types::Fixed(side.other as u32),
            left.as_ptr(),
            left.len() as u32,
        );
        self.push(&send.build().user_data(number as u64))
    }

    /// What a side did is done, and came to `result`.
    fn go_on(&mut self, number: usize, result: i32) -> io::Result<()> {
        let side = &mut self.sides[number];
        let did = std::mem::replace(&mut side.doing, Doing::Nothing);
        if side.ended || result <= 0 {
            return self.end(number);
        }
        match did {
            Doing::Receiving => (side.sent, side.count) = (0, result as usize),
            Doing::Sending => side.sent += result as usize,
            Doing::Nothing => unreachable!("nothing was under way"),
        }
        if side.sent < side.count {
            self.send(number)
        } else {
            self.receive(number)
        }
    }

    /// Ends a pair: the other side is shut down, so that what is under way for it ends too.
    fn end(&mut self, number: usize) -> io::Result<()> {
        let other = self.sides[number].other;
        for side in [number, other] {
            self.sides[side].ended = true;
            // It may be closed by its peer already.
            let _ = self.sides[side].stream.shutdown(std::net::Shutdown::Both);
        }
        if [number, other].iter().any(|&side| self.sides[side].doing != Doing::Nothing) {
            return Ok(());
        }
        for side in [number, other] {
            self.ring.submitter().register_files_update(side as u32, &[-1])?;
            self.sides.remove(side);
        }
        Ok(())
    }
}
