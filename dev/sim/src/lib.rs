//! A seeded world that runs the real proxy for simulated days.
//!
//! ```text
//!   clients --sockets--> real workers --links with a length--> endpoints      one thread, one engine,
//!      '------- what each saw -------> ledger <------- what each did --'         time that jumps
//! ```
//! Everything that happens is drawn from the seed, so a day that fails is told by one number and
//! happens again. Tasks of the proxy are polled more than they must be, by chance: each bears it. What is checked, continuously and whenever a world comes to rest:
//! - an endpoint never sees more connections than allowed, nobody waits longer than he may;
//! - no request that must not be applied twice is;
//! - each request gets one whole answer that is its own, or a connection that ends; none hangs;
//! - at rest nothing is held: no request, no place in the queue, no connection that is not idle;
//! - once faults have ended, every request succeeds from the next second on;
//! - the same seed tells the same story (its hash is compared).

mod client;
mod day;
mod endpoint;
mod ledger;
mod link;
mod message;
mod network;
mod plan;
pub mod regressions;
mod signal;

pub use day::{Story, live};
