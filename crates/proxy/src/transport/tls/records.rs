//! Records between rustls and the buffers of a thread.

use std::cell::RefCell;
use std::io;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};

use super::{Ended, RECORD_OVERHEAD, Side};

thread_local! {
    /// Two pieces become one record in it.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where opened bytes go: to the reader, and what it has no room for to be kept.
pub(super) struct Sink<'a> {
    pub(super) reader: &'a mut [u8],
    pub(super) filled: usize,
    pub(super) surplus: &'a mut Vec<u8>,
}

impl Sink<'_> {
    fn put(&mut self, payload: &[u8]) {
        let room = self.reader.len() - self.filled;
        // Behind what had no room nothing has.
        let direct = if self.surplus.is_empty() {
            payload.len().min(room)
        } else {
            0
        };
        self.reader[self.filled..self.filled + direct].copy_from_slice(&payload[..direct]);
        self.filled += direct;
        self.surplus.extend_from_slice(&payload[direct..]);
    }
}

/// Calls `seal` with so many bytes of two pieces from `at` on.
pub(super) fn with_piece<T>(
    first: &[u8],
    second: &[u8],
    at: usize,
    length: usize,
    seal: impl FnOnce(&[u8]) -> T,
) -> T {
    let split = first.len();
    if at + length <= split {
        return seal(&first[at..at + length]);
    }
    if at >= split {
        return seal(&second[at - split..at - split + length]);
    }
    JOINED.with_borrow_mut(|joined| {
        joined.clear();
        joined.extend_from_slice(&first[at..]);
        joined.extend_from_slice(&second[..at + length - split]);
        seal(joined)
    })
}

/// What both kinds of rustls' connections do alike.
pub(super) trait Records {
    type Data;

    fn records<'c, 'i>(&'c mut self, received: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether something of TLS itself waits to be encoded.
    fn has_to_say(&self) -> bool;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn records<'c, 'i>(&'c mut self, received: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(received)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn records<'c, 'i>(&'c mut self, received: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(received)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

/// Seals one record. `unfinished` is what has come of a message that is not whole: rustls remembers where in it that lies.
pub(super) fn seal<C: Records>(
    connection: &mut C,
    unfinished: &mut Vec<u8>,
    plaintext: &[u8],
    sealed: &mut Vec<u8>,
) -> io::Result<()> {
    let UnbufferedStatus { discard, state } = connection.records(unfinished);
    let start = sealed.len();
    sealed.resize(start + plaintext.len() + RECORD_OVERHEAD, 0);
    let length = match state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic
            .encrypt(plaintext, &mut sealed[start..])
            .map_err(|error| match error {
                EncryptError::InsufficientSize(_) => io::Error::other("a record is larger than it may be"),
                EncryptError::EncryptExhausted => io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "the keys of this connection are used up",
                ),
            })?,
        Ok(_) => return Err(io::ErrorKind::NotConnected.into()),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    sealed.truncate(start + length);
    unfinished.drain(..discard);
    Ok(())
}

/// Puts `close_notify` behind what goes out.
pub(super) fn close<C: Records>(connection: &mut C, unfinished: &mut [u8], outgoing: &mut Vec<u8>) {
    let UnbufferedStatus { state, .. } = connection.records(unfinished);
    if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
        let start = outgoing.len();
        outgoing.resize(start + 64, 0);
        let length = traffic.queue_close_notify(&mut outgoing[start..]);
        outgoing.truncate(start + length.unwrap_or(0));
    }
}

/// Has a connection take received bytes; says how many of them it is done with.
pub(super) fn process(
    side: &mut Side,
    received: &mut [u8],
    sink: &mut Sink<'_>,
    outgoing: &mut Vec<u8>,
    ended: &mut Option<Ended>,
    established: &mut bool,
) -> Result<usize, rustls::Error> {
    match side {
        Side::Server(connection) => open(connection, received, sink, outgoing, ended, established),
        Side::Client(connection) => open(connection, received, sink, outgoing, ended, established),
    }
}

fn open<C: Records>(
    connection: &mut C,
    received: &mut [u8],
    sink: &mut Sink<'_>,
    outgoing: &mut Vec<u8>,
    ended: &mut Option<Ended>,
    established: &mut bool,
) -> Result<usize, rustls::Error> {
    let mut done = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = connection.records(&mut received[done..]);
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                // There may be an alert to say. rustls is asked with what is left of the same bytes, since it remembers where
                // in them messages lie, and no more often than it has something: it would open them and fail again.
                done += discard;
                while connection.has_to_say()
                    && let UnbufferedStatus { state, .. } = connection.records(&mut received[done..])
                    && let Ok(ConnectionState::EncodeTlsData(data)) = state
                {
                    encode(data, outgoing);
                }
                return Err(error);
            }
        };
        let goes_on = match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    sink.put(record.payload);
                }
                true
            }
            ConnectionState::EncodeTlsData(data) => {
                encode(data, outgoing);
                true
            }
            // It goes with the next flush.
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                true
            }
            ConnectionState::PeerClosed => {
                *ended = Some(Ended::CloseNotify);
                true
            }
            ConnectionState::WriteTraffic(_) => {
                *established = true;
                false
            }
            ConnectionState::Closed | ConnectionState::BlockedHandshake => false,
            // None is offered: a request that is replayed is what evenkeel promises away.
            _ => return Err(rustls::Error::General("early data was not offered".to_owned())),
        };
        done += discard;
        if !goes_on {
            return Ok(done);
        }
    }
}

/// Puts what TLS itself has to say behind what goes out.
fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) {
    let start = outgoing.len();
    let needed = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
        _ => 0,
    };
    outgoing.resize(start + needed, 0);
    let length = data.encode(&mut outgoing[start..]).unwrap_or(0);
    outgoing.truncate(start + length);
}
