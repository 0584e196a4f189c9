//! How tunnels (WebSocket and other upgrades) end.

use super::{Row, Told};
use crate::outcome::Flag;

const fn ended(flag: Option<Flag>, details: &'static str, [happened, look, set]: [&'static str; 3]) -> Row {
    Row {
        flag,
        told: Told::Response,
        details,
        body: "",
        happened,
        look,
        set,
    }
}

pub(super) const CLIENT_CLOSED: Row = ended(
    None,
    "downstream_remote_disconnect",
    [
        "The client ended the tunnel with a FIN, as clients do that are done.",
        "Nothing, if the client was done.",
        "Nothing.",
    ],
);

pub(super) const CLIENT_RESET: Row = ended(
    Some(Flag::DC),
    "downstream_remote_disconnect",
    [
        "The client reset the tunnel.",
        "The client: its process ended, or it gave up.",
        "Nothing.",
    ],
);

pub(super) const ENDPOINT_CLOSED: Row = ended(
    None,
    "upstream_remote_disconnect",
    [
        "The endpoint ended the tunnel with a FIN.",
        "The endpoint: it was done, restarted, or has an idle timeout of its own.",
        "Where it is the endpoint's idle timeout: have client or endpoint send pings more often.",
    ],
);

pub(super) const ENDPOINT_RESET: Row = ended(
    Some(Flag::UC),
    "upstream_reset_after_response_started{connection_termination}",
    [
        "The endpoint reset the tunnel.",
        "The endpoint: its process ended.",
        "Nothing.",
    ],
);

pub(super) const IDLE: Row = ended(
    Some(Flag::SI),
    "stream_idle_timeout",
    [
        "No byte moved through the tunnel for as long as it may idle, and evenkeel ended it.",
        "How often client and endpoint send pings.",
        "Pings more often than the timeout, or a longer `timeout.http.streamIdleTimeout` of the \
         BackendTrafficPolicy (default 5m).",
    ],
);
