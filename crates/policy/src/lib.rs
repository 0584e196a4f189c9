//! Decisions. No bytes, no sockets, no locks; what depends on time takes `now`.
//!
//! Five objects meet the shell: [`route::RouteTable`] (immutable, swapped whole on reload),
//! [`cluster::Cluster`] and [`rate_limit::RateLimiter`] (mutable, each behind one plain lock of the
//! shell's), [`retry::attempts::Attempts`] (owned by one exchange) and the total function [`evidence::grade`].

pub mod balance;
pub mod cluster;
pub mod concurrency;
pub mod deadline;
mod endpoint;
pub mod evidence;
pub mod filter;
pub mod freeze;
pub mod h2_budget;
pub mod health;
pub mod keepalive;
pub mod latency;
pub mod outcome;
pub mod outlier;
pub mod plan;
mod pool;
pub mod rate_limit;
pub mod retry;
pub mod route;
mod slab;
pub mod state_file;
pub mod time;
