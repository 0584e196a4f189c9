//! Reading and writing a transport, as futures.

use std::future::poll_fn;
use std::io;

use crate::buffer::ReadBuffer;
use crate::transport::Transport;

/// Reads more into `buffer`, which holds at most `most` bytes. 0 is the end of the stream.
pub(crate) async fn fill(transport: &Transport, buffer: &mut ReadBuffer, most: usize) -> io::Result<usize> {
    let count = poll_fn(|cx| {
        // Memory is taken only once there is something to read.
        std::task::ready!(transport.poll_read_ready(cx));
        transport.poll_read(cx, buffer.space(most))
    })
    .await;
    match count {
        Ok(count) => {
            buffer.filled(count);
            Ok(count)
        }
        Err(error) => Err(error),
    }
}

/// Writes all of `bytes` and clears them.
pub(crate) async fn flush(transport: &Transport, bytes: &mut Vec<u8>) -> io::Result<()> {
    write_all(transport, bytes).await?;
    bytes.clear();
    Ok(())
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
