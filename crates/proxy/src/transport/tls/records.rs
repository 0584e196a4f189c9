//! Records between rustls and the buffers of a thread.

use std::cell::RefCell;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};

use super::Ended;

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

/// Has a connection take received bytes; says how many of them it is done with.
pub(super) fn process(
    connection: &mut UnbufferedServerConnection,
    received: &mut [u8],
    sink: &mut Sink<'_>,
    outgoing: &mut Vec<u8>,
    ended: &mut Option<Ended>,
    established: &mut bool,
) -> Result<usize, rustls::Error> {
    let mut done = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = connection.process_tls_records(&mut received[done..]);
        let goes_on = match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    sink.put(record.payload);
                }
                true
            }
            ConnectionState::EncodeTlsData(mut data) => {
                let start = outgoing.len();
                let needed = match data.encode(&mut []) {
                    Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
                    _ => 0,
                };
                outgoing.resize(start + needed, 0);
                let length = data.encode(&mut outgoing[start..]).unwrap_or(0);
                outgoing.truncate(start + length);
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
