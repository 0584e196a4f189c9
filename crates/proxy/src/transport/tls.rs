//! TLS over a socket: the handshake, then the record layer. These files are the only ones that name rustls.
//!
//! It holds no memory for records while nothing is under way: what comes is received into a buffer of the
//! thread and opened there, what goes is sealed into another. Only a record that has not come whole, plaintext that
//! nobody has taken yet, and ciphertext that the socket does not take are kept with the connection.
//!
//! A write says that bytes are written once their records have been taken by the socket, so whoever has written all has
//! nothing left to flush. Until then the bytes are *claimed*: the writer offers them again, as it would to a socket.

mod records;
mod server;
mod words;

use std::cell::RefCell;
use std::io;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus};

use records::{Sink, process, with_piece};
pub(crate) use server::{ServerSide, ServerSides, Tickets};
pub(crate) use words::{Reason, Spoken};

use super::Socket;

/// The most plaintext of one record (RFC 8446, 5.1).
const RECORD: usize = 16 * 1024;

/// What a record adds to its plaintext at most: header, explicit nonce of TLS 1.2, content type, tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;

/// Records that are sealed for one call of the kernel.
const RECORDS: usize = 4;

/// What is received in one call of the kernel.
const RECEIVE: usize = 32 * 1024;

/// Received bytes that are no whole message yet: one of the handshake is at most 64 KiB, in records of its own.
const UNFINISHED_MAX: usize = 80 * 1024;

thread_local! {
    /// Records are received into it, and opened in it.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; UNFINISHED_MAX + RECEIVE]);
    /// Records are sealed into it.
    static SEALED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(RECORDS * (RECORD + RECORD_OVERHEAD)));
}

/// One connection's TLS.
pub(crate) struct Tls {
    connection: UnbufferedServerConnection,
    /// Received, and no whole record.
    unfinished: Vec<u8>,
    /// Plaintext that nobody has taken, from `taken` on.
    plaintext: Vec<u8>,
    taken: usize,
    /// Ciphertext that the socket has not taken, from `flushed` on.
    outgoing: Vec<u8>,
    flushed: usize,
    /// Plaintext bytes whose records are in `outgoing`: their writer has not been told that they are written.
    claimed: usize,
    /// Plaintext bytes that were read and written.
    pub(super) read: u64,
    pub(super) written: u64,
    established: bool,
    /// How the peer ended, if it has.
    ended: Option<Ended>,
    /// It failed, and why.
    failed: Option<Box<rustls::Error>>,
    close_notify_queued: bool,
    /// The name that the client asked for.
    server_name: Option<Box<str>>,
}

/// How the peer has ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It said so: what came before is all that there was.
    CloseNotify,
    /// By a FIN alone: somebody on the path could have cut off what came before.
    Cut,
}

/// What is known after the handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Version and cipher suite.
    pub(crate) spoken: Spoken,
    /// The name that the client asked for.
    pub(crate) server_name: Option<&'a str>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("established", &self.established)
            .field("ended", &self.ended)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// One for an accepted connection, with nothing received yet.
    ///
    /// # Errors
    /// rustls gives no connection: there is no randomness.
    pub(crate) fn accept(side: &ServerSide) -> io::Result<Box<RefCell<Self>>> {
        let connection = UnbufferedServerConnection::new(side.config()).map_err(io::Error::other)?;
        Ok(Box::new(RefCell::new(Self {
            connection,
            unfinished: Vec::new(),
            plaintext: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            flushed: 0,
            claimed: 0,
            read: 0,
            written: 0,
            established: false,
            ended: None,
            failed: None,
            close_notify_queued: false,
            server_name: None,
        })))
    }

    /// Goes on with the handshake: true once it is done. `WouldBlock` says that the socket has to be waited for, to
    /// be written to if [`Self::wants_write`].
    ///
    /// # Errors
    /// The socket's, or the handshake has failed: [`Self::reason`] says why.
    pub(super) fn handshake(&mut self, socket: &Socket) -> io::Result<bool> {
        loop {
            self.flush(socket)?;
            if self.established {
                return Ok(true);
            }
            if !self.receive(socket, &mut [])? && self.ended.is_some() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether ciphertext waits for the socket.
    pub(super) fn wants_write(&self) -> bool {
        self.flushed < self.outgoing.len()
    }

    /// Whether there is plaintext that nobody has taken, or an end that has not been told.
    pub(super) fn has_news(&self) -> bool {
        self.taken < self.plaintext.len() || self.ended.is_some()
    }

    /// Why it failed.
    pub(crate) fn reason(&self) -> Option<Reason> {
        let error = self.failed.as_deref()?;
        Some(words::reason(error, self.server_name.as_deref()))
    }

    /// What is known of it.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            spoken: Spoken::of(
                self.connection.protocol_version(),
                self.connection.negotiated_cipher_suite(),
            ),
            server_name: self.server_name.as_deref(),
        }
    }

    /// Reads plaintext. 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` if there is none yet; the socket's; or a record that cannot be opened.
    pub(super) fn read(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.plaintext.len() {
            let count = self.open_into(socket, buffer)?;
            self.read += count as u64;
            return Ok(count);
        }
        let rest = &self.plaintext[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        if self.taken == self.plaintext.len() {
            (self.plaintext, self.taken) = (Vec::new(), 0);
        }
        self.read += count as u64;
        Ok(count)
    }

    /// Receives and opens records until one has plaintext, or the stream ends.
    fn open_into(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.ended.is_some() {
                return Ok(0);
            }
            let before = self.plaintext.len();
            let count = self.receive_into(socket, buffer)?;
            if count > 0 || self.plaintext.len() > before {
                return Ok(count);
            }
        }
    }

    /// Looks for plaintext without taking it: receives what has come. `Some(0)` is the end of the stream, `None` that
    /// nothing has come but what concerns TLS alone, such as tickets.
    ///
    /// # Errors
    /// The socket's, or a record that cannot be opened.
    pub(super) fn peek(&mut self, socket: &Socket, first: &mut [u8]) -> io::Result<Option<usize>> {
        if self.taken == self.plaintext.len() {
            match self.open_into(socket, &mut []) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let rest = &self.plaintext[self.taken..];
        let count = rest.len().min(first.len());
        first[..count].copy_from_slice(&rest[..count]);
        Ok(Some(count))
    }

    /// Receives once, of a handshake: false if the peer has ended.
    fn receive(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<bool> {
        self.receive_into(socket, buffer)?;
        Ok(self.ended.is_none())
    }

    /// Receives once and opens what is whole; says how much plaintext went into `buffer`.
    fn receive_into(&mut self, socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(io::Error::new(io::ErrorKind::InvalidData, error.clone()));
        }
        let count = RECEIVED.with_borrow_mut(|scratch| {
            let held = self.unfinished.len();
            let room = &mut scratch[held..];
            let room_len = room.len().min(RECEIVE);
            let count = socket.receive(&mut room[..room_len])?;
            if count == 0 {
                self.ended = self.ended.or(Some(Ended::Cut));
                return Ok::<usize, io::Error>(0);
            }
            scratch[..held].copy_from_slice(&self.unfinished);
            let mut sink = Sink {
                reader: buffer,
                filled: 0,
                surplus: &mut self.plaintext,
            };
            let received = &mut scratch[..held + count];
            let opened = process(
                &mut self.connection,
                received,
                &mut sink,
                &mut self.outgoing,
                &mut self.ended,
                &mut self.established,
            );
            let filled = sink.filled;
            let name = server::take_asked_name();
            if name.is_some() {
                self.server_name = name;
            }
            match opened {
                Ok(done) => {
                    let rest = &received[done..];
                    if rest.len() > UNFINISHED_MAX {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    // Kept small: an idle connection has nothing unfinished.
                    self.unfinished = if rest.is_empty() {
                        Vec::new()
                    } else {
                        rest.to_vec()
                    };
                    Ok(filled)
                }
                Err(error) => {
                    self.fail(error);
                    Err(io::ErrorKind::InvalidData.into())
                }
            }
        })?;
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            // What it has to say of itself goes with the next write, if it does not go now.
            _ => Ok(count),
        }
    }

    /// Notes a failure, and has the alert that tells the peer of it sent.
    #[cold]
    fn fail(&mut self, error: rustls::Error) {
        self.failed = Some(Box::new(error));
        let mut nothing = Sink {
            reader: &mut [],
            filled: 0,
            surplus: &mut Vec::new(),
        };
        // It says its alert, and then the same error again.
        let _ = process(
            &mut self.connection,
            &mut [],
            &mut nothing,
            &mut self.outgoing,
            &mut self.ended,
            &mut false,
        );
    }

    /// Sends the alert of a failure, as far as the socket takes it.
    pub(super) fn send_alert(&mut self, socket: &Socket) {
        // Where the peer does not take it, nothing more can be done for it.
        let _ = self.flush(socket);
    }

    /// Writes two pieces, one behind the other; says how many of their bytes are written.
    ///
    /// # Errors
    /// `WouldBlock` if the socket does not take them now; the socket's.
    pub(super) fn write(&mut self, socket: &Socket, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.flush(socket)?;
        if self.claimed > 0 {
            let count = std::mem::take(&mut self.claimed);
            assert!(
                count <= first.len() + second.len(),
                "a write was begun and given up"
            );
            self.written += count as u64;
            return Ok(count);
        }
        let total = (first.len() + second.len()).min(RECORDS * RECORD);
        if total == 0 {
            return Ok(0);
        }
        let written = SEALED.with_borrow_mut(|sealed| {
            sealed.clear();
            // Where each record ends, in plaintext and in ciphertext.
            let mut ends = [(0, 0); RECORDS];
            let mut at = 0;
            for end in &mut ends {
                if at < total {
                    let length = RECORD.min(total - at);
                    with_piece(first, second, at, length, |piece| self.seal(piece, sealed))?;
                    at += length;
                }
                *end = (at, sealed.len());
            }
            let mut sent = 0;
            let blocked = loop {
                match socket.send(&sealed[sent..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break true,
                    Err(error) => return Err(error),
                }
                if sent == sealed.len() {
                    break false;
                }
            };
            if !blocked {
                return Ok(total);
            }
            let whole = ends.iter().rev().find(|end| end.1 <= sent).map_or(0, |end| end.0);
            self.claimed = total - whole;
            (self.outgoing, self.flushed) = (sealed[sent..].to_vec(), 0);
            if whole == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(whole)
        })?;
        self.written += written as u64;
        Ok(written)
    }

    /// Seals one record.
    fn seal(&mut self, plaintext: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
        let start = sealed.len();
        sealed.resize(start + plaintext.len() + RECORD_OVERHEAD, 0);
        let length = match state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic
                .encrypt(plaintext, &mut sealed[start..])
                .map_err(|error| match error {
                    EncryptError::InsufficientSize(_) => {
                        io::Error::other("a record is larger than it may be")
                    }
                    EncryptError::EncryptExhausted => io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the keys of this TLS state are used up",
                    ),
                })?,
            Ok(_) => return Err(io::ErrorKind::NotConnected.into()),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        sealed.truncate(start + length);
        Ok(())
    }

    /// Sends ciphertext that waits.
    fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        while self.flushed < self.outgoing.len() {
            match socket.send(&self.outgoing[self.flushed..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.flushed += count,
            }
        }
        if !self.outgoing.is_empty() {
            (self.outgoing, self.flushed) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Says that no more will be written, as far as the socket takes it.
    pub(super) fn close(&mut self, socket: &Socket) {
        if self.established
            && self.failed.is_none()
            && !std::mem::replace(&mut self.close_notify_queued, true)
        {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
                let start = self.outgoing.len();
                self.outgoing.resize(start + 64, 0);
                let length = traffic.queue_close_notify(&mut self.outgoing[start..]);
                self.outgoing.truncate(start + length.unwrap_or(0));
            }
        }
        let _ = self.flush(socket);
    }
}
