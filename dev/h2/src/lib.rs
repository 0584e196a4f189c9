//! A small HTTP/2 server on standard sockets, one thread a connection, that drives the codec as the proxy will.

mod server;

pub use server::{behaviour, serve, serve_all};
