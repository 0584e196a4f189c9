//! Bytes. No time, no clusters, no async: everything a stranger can send is parsed here.
//!
//! Every error of this crate has `details()` (Envoy's response code details), `status()` (what a
//! client that sent it is answered) and `sentence()` (what a person is told).

mod block;
mod bytes;
pub mod field;
pub mod forwarded;
pub mod h1;
pub mod h2;
pub mod hop;
pub mod host;
mod known;
pub mod message;
pub mod outbound;
pub mod path;
pub mod scan;
pub mod text;
pub mod tls;

/// Lets an error be shown by its sentence.
macro_rules! shown_by_its_sentence {
    ($error:ty) => {
        impl std::fmt::Display for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.sentence())
            }
        }

        impl std::error::Error for $error {}
    };
}
pub(crate) use shown_by_its_sentence;
