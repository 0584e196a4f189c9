//! A safe face over the few system calls that the standard library lacks. Linux first: elsewhere
//! [`tcp_facts`] knows nothing, and the evidence grade is `unknown` (ARCHITECTURE.md, "the race").

mod listen;
mod peek;
mod pipe;
mod process;
mod socket;
mod stream;
mod tcp_info;
mod terminal;

pub use listen::{SILENCE, SpeaksFirst, accept, handshakes, hear_no_more, listen, listen_backlog};
pub use peek::{Peek, peek};
pub use pipe::Pipe;
pub use process::page_size;
pub use socket::{connect, keep_alive, make_room_for_fds, raise_fd_limit, sleep_exactly};
pub use stream::{receive, send, send_both};
pub use tcp_info::{TcpFacts, tcp_facts};
pub use terminal::terminal_size;
