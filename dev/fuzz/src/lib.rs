//! What the fuzz targets check. `wire` and `h2` need only stable Rust, so their seeds are
//! replayed by an ordinary test as well; `hyper_oracle` needs a server and is for the fuzzer alone.

#[path = "../checks/config.rs"]
pub mod config;
#[path = "../checks/h2.rs"]
pub mod h2;
pub mod hyper_oracle;
#[path = "../checks/wire.rs"]
pub mod wire;
