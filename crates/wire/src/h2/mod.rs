//! HTTP/2 (RFC 9113): a codec for both roles, without IO, time and locks.
//!
//! A [`Connection`] is given the bytes that came and says what they mean, one frame at a time; it is told what to send
//! and appends the bytes. Messages are those of [`message`](crate::message), under the grammars of HTTP/1. All that
//! RFC 9113, section 8, calls malformed is refused here, so what is told of can be sent on in any version. Content is
//! handed on as a range of the caller's own buffer, as it comes, and is sent from wherever it lies.
//!
//! Whoever drives a connection does this whenever its socket has bytes (`input` is all that was not taken yet):
//!
//! ```
//! # use wire::h2::{Config, Connection, Event, Scratch, Violation, PREFACE};
//! # fn budget(_: wire::h2::Cost) {}
//! # fn begin_exchange(_: wire::h2::StreamId, _: bool, _: &mut wire::message::RequestHead) {}
//! # fn pass_on(_: wire::h2::StreamId, _: &[u8], _: bool) {}
//! # fn other(_: Event) {}
//! fn on_readable(
//!     connection: &mut Connection,
//!     input: &[u8],
//!     scratch: &mut Scratch, // one for all connections of a thread
//!     out: &mut Vec<u8>,     // what is to be sent, once at the end of the turn
//! ) -> Result<usize, Violation> {
//!     let mut taken = 0;
//!     loop {
//!         let rest = &input[taken..];
//!         let step = connection.next(rest, scratch, out)?; // after an error, send `out` and close
//!         step.cost.map(budget); // `policy::h2_budget`; once spent: `connection.close(ENHANCE_YOUR_CALM, out)`
//!         match step.event {
//!             Some(Event::Request { stream, end }) => begin_exchange(stream, end, &mut scratch.request),
//!             Some(Event::Data { stream, data, end }) => pass_on(stream, &rest[data], end),
//!             Some(event) => other(event),
//!             None if step.taken == 0 => return Ok(taken), // keep the rest
//!             None => {}
//!         }
//!         taken += step.taken;
//!     }
//! }
//! # let (mut out, mut scratch) = (Vec::new(), Scratch::default());
//! # let mut connection = Connection::server(Config::default(), &mut out);
//! # assert_eq!(on_readable(&mut connection, PREFACE, &mut scratch, &mut out), Ok(24));
//! ```
//!
//! What was passed on is given back by [`Connection::consume`] as the other side takes it, so a slow reader closes the
//! window of whoever sends to it. An answer is [`Connection::send_response`], then [`Connection::send_data`] for as much as windows
//! allow, then perhaps [`Connection::send_trailers`]; at its end [`Connection::release`]. The caller keeps time: how long a
//! head, an acknowledgement of settings or of a PING may take.
//!
//! Memory of a connection: its streams, two compression tables that hold nothing before they are used (at most 8 KiB
//! each), and a header block of which the end has not come. Nothing is allocated for a request once these have grown,
//! but for a block that comes in several frames.

mod connection;
mod error;
mod event;
mod frame;
mod head;
pub mod hpack;
mod priority;
mod settings;
mod stream;
mod window;

pub use connection::{Connection, PREFACE, Role, Scratch, SendError, Sent};
pub use error::{StreamError, Violation};
pub use event::{Cost, Event, Step};
pub use frame::{ErrorCode, StreamId};
pub use priority::Priority;
pub use settings::{Config, PeerSettings};
