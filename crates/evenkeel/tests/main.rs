//! Black box: the real binary, real sockets, scripted peers on both sides. What these tests say is
//! what the gateway promises; nothing here knows how it is done.

mod access_log;
mod admin;
mod body_limit;
mod bytes_told;
mod change_under_load;
mod client_policy;
mod command_line;
mod conformance;
mod docs;
mod drain;
mod events;
mod failures;
mod fields;
mod freezes;
mod harness;
mod health;
mod limits;
mod manifests;
mod memory;
mod mended;
mod metrics;
mod operational_log;
mod other_protocols;
mod overload;
mod overload_told;
mod paths;
mod quickstart;
mod race;
mod reload;
mod routing;
mod saturation;
mod slow_uploads;
mod state_file;
mod streaming;
mod waiting;
