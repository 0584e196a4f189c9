//! TLS handshakes of clients.

use super::{Row, Told};
use crate::outcome::Flag;

/// A handshake that came to nothing: there is no request yet that could be answered.
const fn ended(flag: Flag, details: &'static str, [happened, look, set]: [&'static str; 3]) -> Row {
    Row {
        flag: Some(flag),
        told: Told::Nobody,
        details,
        body: "",
        happened,
        look,
        set,
    }
}

pub(super) const PLAIN_HTTP: Row = Row {
    flag: Some(Flag::DPE),
    told: Told::Status(400),
    details: "plain_http_on_tls_port",
    body: "This port speaks HTTPS, and the request came in plain HTTP. Use https:// (DPE).",
    happened: "The client sent a request in plain HTTP to an HTTPS listener.",
    look: "The client's address of this gateway: it says `http://` with the port of an HTTPS listener. A load balancer \
           in front may have ended TLS already.",
    set: "`https://` in the client; or an HTTP listener on another port, for a load balancer that ends TLS.",
};

pub(super) const FAILED: Row = ended(
    Flag::DPE,
    "tls_handshake_failed",
    [
        "The TLS handshake with the client failed. The sentence says why: no shared version, no certificate for the name \
         that it asked for, a certificate that the client refused. The client got a TLS alert.",
        "The sentence, then `openssl s_client -connect ADDRESS:PORT -servername NAME`.",
        "`hostname` and `tls.certificateRefs` of the Gateway's listener; `tls.minVersion` of the ClientTrafficPolicy.",
    ],
);

pub(super) const TIMEOUT: Row = ended(
    Flag::DPE,
    "transport_socket_timeout",
    [
        "The client began a TLS handshake and did not finish it in time.",
        "A slow or broken client, one that speaks no TLS and waits, or one that holds connections open on purpose.",
        "`timeout.http.requestHeadersReceivedTimeout` of the ClientTrafficPolicy (default 10s), which bounds the handshake, \
         too.",
    ],
);

pub(super) const SHED: Row = ended(
    Flag::DPE,
    "overload",
    [
        "More TLS handshakes were under way than may be, and this one was the oldest.",
        "Clients that hold many connections open in the handshake, mostly on purpose. The counter is \
         `downstream_cx_tls_overflow`.",
        "A shorter `timeout.http.requestHeadersReceivedTimeout` of the ClientTrafficPolicy; the number is fixed.",
    ],
);

pub(super) const LEFT: Row = ended(
    Flag::DC,
    "downstream_remote_disconnect",
    [
        "The client ended its connection inside the TLS handshake.",
        "The client: some leave without a word when they do not trust the certificate. Port scanners do, too.",
        "A certificate that the client trusts, with its intermediates, in `tls.certificateRefs` of the listener.",
    ],
);
