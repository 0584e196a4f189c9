//! TLS handshakes of clients that came to nothing, and what would prevent it.

use super::super::Failure;
use super::super::story::Story;
use super::advice::raise;
use super::{Took, after};

/// What happened.
pub(super) fn failed(story: &Story<'_>, failure: &Failure) -> String {
    match failure {
        Failure::PlainHttpOnTls => {
            String::from("The client sent a request in plain HTTP, and this listener speaks HTTPS.")
        }
        Failure::TlsHandshake { what } => format!("The TLS handshake failed. {what}{}", after(story)),
        Failure::TlsHandshakeTimeout => format!(
            "The client did not finish the TLS handshake within {}.",
            story.settings.client.head_timeout
        ),
        Failure::TlsHandshakeShed => String::from(
            "The client had not finished the TLS handshake, and its was the oldest when more were under way than may be.",
        ),
        _ => format!(
            "The client ended its connection inside the TLS handshake, {} after it began.",
            Took(story.progress.took)
        ),
    }
}

/// What would prevent it.
pub(super) fn advice(story: &Story<'_>, failure: &Failure) -> String {
    let limit = story.settings.client.head_timeout;
    match failure {
        Failure::PlainHttpOnTls => {
            String::from("use https:// in the client, or a listener of protocol HTTP on another port")
        }
        Failure::TlsHandshake { .. } => String::from(
            "see that the listener's hostname and certificates fit what the client asks for, and that both speak a \
             common version (tls.minVersion of the ClientTrafficPolicy)",
        ),
        Failure::TlsHandshakeTimeout => format!("see why the client is slow, or {}", raise(limit)),
        Failure::TlsHandshakeShed => format!("lower {limit}, so that slow clients leave sooner"),
        _ => String::from("see whether the client trusts the certificate and its intermediates"),
    }
}
