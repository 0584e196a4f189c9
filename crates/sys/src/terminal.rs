//! The terminal that a stream is.

use std::os::fd::AsFd;

/// Its columns and rows; `None` if it is no terminal, or does not tell.
pub fn terminal_size(stream: impl AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}
