//! Reading and writing a socket without waiting, by system calls alone: the C library's wrappers
//! pass through its thread cancellation, which costs each call a little and gives us nothing.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

/// Receives once, without waiting. 0 is the end of the stream.
///
/// # Errors
/// `WouldBlock` if there is nothing to read; otherwise how the connection failed.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::INTR) => {}
            received => return Ok(received?.0),
        }
    }
}

/// Sends once, without waiting and without `SIGPIPE`.
///
/// # Errors
/// `WouldBlock` if the kernel takes nothing now; otherwise how the connection failed.
pub fn send(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// Sends two pieces at once, one behind the other, without waiting and without `SIGPIPE`.
///
/// # Errors
/// As [`send`].
pub fn send_both(socket: &impl AsFd, first: &[u8], second: &[u8]) -> io::Result<usize> {
    let pieces = [IoSlice::new(first), IoSlice::new(second)];
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        match rustix::net::sendmsg(socket, &pieces, &mut SendAncillaryBuffer::default(), flags) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}
