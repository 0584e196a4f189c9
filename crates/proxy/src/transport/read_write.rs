//! Reading and writing a transport, as futures.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use crate::engine;
use crate::transport::Transport;
use crate::transport::buffer::ReadBuffer;

/// Reads more into `buffer`, which holds at most `most` bytes. 0 is the end of the stream.
pub(crate) fn fill(
    transport: &Transport,
    buffer: &mut ReadBuffer,
    most: usize,
) -> impl Future<Output = io::Result<usize>> + Unpin {
    poll_fn(move |cx| poll_fill(cx, transport, buffer, most))
}

/// As [`fill`], polled.
pub(crate) fn poll_fill(
    cx: &Context<'_>,
    transport: &Transport,
    buffer: &mut ReadBuffer,
    most: usize,
) -> Poll<io::Result<usize>> {
    // Whoever passes bytes on asks here, since every transfer begins with a read.
    ready!(engine::poll_budget());
    // Memory is taken only once there is something to read, and given back before a wait.
    if transport.poll_read_ready(cx).is_pending() {
        buffer.release();
        return Poll::Pending;
    }
    let read = transport.poll_read(cx, buffer.space(most));
    match read {
        Poll::Ready(Ok(count)) => buffer.filled(count),
        Poll::Ready(Err(_)) => {}
        Poll::Pending => buffer.release(),
    }
    read
}

/// Writes all of `bytes`.
pub(crate) async fn write_all(transport: &Transport, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match poll_fn(|cx| transport.poll_write(cx, &bytes[written..])).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => written += count,
        }
    }
    Ok(())
}
