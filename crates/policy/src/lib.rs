//! Decisions. No bytes, no sockets, no locks; what depends on time takes `now`.
//!
//! Five objects meet the shell: [`route::RouteTable`] (immutable, swapped whole on reload),
//! [`cluster::Cluster`] and [`rate_limit::RateLimiter`] (mutable, each behind one plain lock of the
//! shell's), [`attempts::Attempts`] (owned by one exchange) and the total function [`evidence::grade`].

pub mod adaptive;
pub mod attempts;
pub mod balance;
pub mod cluster;
pub mod deadline;
mod endpoint;
pub mod evidence;
pub mod filter;
pub mod freeze;
pub mod health;
pub mod keepalive;
pub mod latency;
mod leaving;
pub mod outcome;
pub mod outlier;
mod path;
pub mod plan;
mod pool;
pub mod rate_limit;
pub mod retry_budget;
pub mod route;
mod saturation;
mod service;
mod silence;
mod slab;
pub mod state_file;
mod straggler;
pub mod time;
