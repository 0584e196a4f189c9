//! TLS over a socket, towards clients and endpoints: the handshake, then the record layer. These files are the only ones that name rustls.
//!
//! It holds no memory for records while nothing is under way: what comes is received into a buffer of the
//! thread and opened there, what goes is sealed into another. Only a record that has not come whole, plaintext that
//! nobody has taken yet, and ciphertext that the socket does not take are kept with the connection.
//!
//! A write says that bytes are written once their records have been taken by the socket, so whoever has written all has
//! nothing left to flush. Until then the bytes are *claimed*: the writer offers them again, as it would to a socket.

mod client;
mod records;
mod server;
mod words;

use std::cell::RefCell;
use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;

pub(crate) use client::{EndpointSide, EndpointSides, Trusted};
use records::{Sink, process, with_piece};
pub(crate) use server::{ServerSide, ServerSides, Tickets};
pub(crate) use words::{Reason, Spoken};

use policy::outcome::TlsFault;

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
    side: Side,
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
    /// Plaintext bytes that were read, and that were sealed: of those the socket may have taken none yet.
    pub(super) read: u64,
    pub(super) written: u64,
    established: bool,
    /// How the peer ended, if it has.
    ended: Option<Ended>,
    /// Where records ended that were sent to an endpoint since the attempt began, in bytes of the wire and of plaintext:
    /// the first ones, and the last.
    records: Vec<(u64, u64)>,
    /// What had been written when the attempt began: on the wire, and of plaintext.
    attempt_at: (u64, u64),
    /// It failed, and why.
    failed: Option<Box<rustls::Error>>,
    close_notify_queued: bool,
    /// The name that the client asked for.
    server_name: Option<Box<str>>,
}

/// Which end of the connection is ours.
enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Records whose ends are remembered: a request's head is in the first few.
const RECORDS_KEPT: usize = 16;

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
        Ok(Self::new(Side::Server(connection)))
    }

    /// One for a connection that was opened to an endpoint; the first call of [`Self::handshake`] says hello.
    ///
    /// # Errors
    /// rustls gives no connection: there is no randomness.
    pub(crate) fn connect(side: &EndpointSide) -> io::Result<Box<RefCell<Self>>> {
        let (config, name) = side.config();
        let connection = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut tls = Self::new(Side::Client(connection));
        let state = tls.get_mut();
        // It has its hello to say.
        let mut nothing = Sink {
            reader: &mut [],
            filled: 0,
            surplus: &mut Vec::new(),
        };
        let said = process(
            &mut state.side,
            &mut [],
            &mut nothing,
            &mut state.outgoing,
            &mut None,
            &mut false,
        );
        said.map(|_| tls).map_err(io::Error::other)
    }

    fn new(side: Side) -> Box<RefCell<Self>> {
        Box::new(RefCell::new(Self {
            side,
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
            records: Vec::new(),
            attempt_at: (0, 0),
        }))
    }

    /// An attempt begins: what is written from now on is its.
    pub(super) fn begin_attempt(&mut self, socket: &Socket) {
        self.records.clear();
        self.attempt_at = (socket.sent.get(), self.written);
    }

    /// How much plaintext the peer can have opened, where its TCP has acknowledged so many bytes: that of whole records.
    /// If part of the first record is acknowledged, it is one byte: the path is not silent.
    pub(super) fn acknowledged(&self, wire: u64) -> u64 {
        let whole = self.records.iter().rev().find(|(end, _)| *end <= wire);
        match whole {
            Some(&(_, plain)) => plain,
            None => self.attempt_at.1 + u64::from(wire > self.attempt_at.0),
        }
    }

    fn note_record(&mut self, wire: u64, plain: u64) {
        if self.records.len() == RECORDS_KEPT {
            self.records.pop();
        }
        self.records.push((wire, plain));
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

    /// Whether the peer ended without saying so.
    pub(super) fn was_cut(&self) -> bool {
        self.ended == Some(Ended::Cut)
    }

    /// Why it failed.
    pub(crate) fn reason(&self) -> Option<Reason> {
        let error = self.failed.as_deref()?;
        Some(words::reason(error, self.server_name.as_deref()))
    }

    /// The same of an endpoint.
    pub(crate) fn fault(&self) -> Option<(TlsFault, String)> {
        self.failed.as_deref().map(words::fault)
    }

    /// What is known of it.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            spoken: Spoken::of(
                self.side.common().protocol_version(),
                self.side.common().negotiated_cipher_suite(),
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
                &mut self.side,
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
                    self.failed = Some(Box::new(error));
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
            return Ok(count);
        }
        let total = (first.len() + second.len()).min(RECORDS * RECORD);
        if total == 0 {
            return Ok(0);
        }
        SEALED.with_borrow_mut(|sealed| {
            sealed.clear();
            // Where each record ends, in plaintext and in ciphertext.
            let mut ends = [(0, 0); RECORDS];
            let mut at = 0;
            for end in &mut ends {
                if at < total {
                    let length = RECORD.min(total - at);
                    with_piece(first, second, at, length, |piece| self.seal(piece, sealed))?;
                    at += length;
                    if let Side::Client(_) = self.side {
                        let wire = socket.sent.get() + sealed.len() as u64;
                        self.note_record(wire, self.written + at as u64);
                    }
                }
                *end = (at, sealed.len());
            }
            // From now on any of it may reach the peer, whoever flushes it: it counts as written.
            self.written += total as u64;
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
        })
    }

    /// Seals one record.
    fn seal(&mut self, plaintext: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.side {
            Side::Server(connection) => records::seal(connection, &mut self.unfinished, plaintext, sealed),
            Side::Client(connection) => records::seal(connection, &mut self.unfinished, plaintext, sealed),
        }
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
            match &mut self.side {
                Side::Server(connection) => {
                    records::close(connection, &mut self.unfinished, &mut self.outgoing)
                }
                Side::Client(connection) => {
                    records::close(connection, &mut self.unfinished, &mut self.outgoing)
                }
            }
        }
        let _ = self.flush(socket);
    }
}

impl Side {
    fn common(&self) -> &rustls::CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }
}
