//! What the fuzz targets check. `wire` needs only stable Rust, so its seeds are replayed by an
//! ordinary test as well; `hyper_oracle` needs a server and is for the fuzzer alone.

#[path = "../checks/config.rs"]
pub mod config;
pub mod hyper_oracle;
#[path = "../checks/wire.rs"]
pub mod wire;
