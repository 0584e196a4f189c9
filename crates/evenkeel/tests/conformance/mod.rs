//! What RFC 9110 and RFC 9112 ask of an intermediary, and what no request may smuggle past it.

mod answers;
mod bodies;
mod connections;
mod framing;
mod intermediary;
mod upstream_framing;
