//! HAProxy, with a thread for each worker that is asked for.

use std::process::Command;

use super::{Order, Peer};
use crate::Fallible;

/// The command that runs it.
pub(super) fn command(order: &Order<'_>) -> Fallible<Command> {
    let config = order.directory.join("haproxy.cfg");
    std::fs::write(&config, configuration(order))?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&config);
    Ok(command)
}

fn configuration(order: &Order<'_>) -> String {
    let set_up = order.set_up;
    // It wants two descriptors for each connection that it is ready for, at its start.
    let connections = set_up.clients_max.clamp(4_000, 9_500);
    let mut text = format!("global\n nbthread {}\n maxconn {connections}\n", set_up.workers);
    if set_up.log.is_on() {
        text.push_str(" log stdout format raw local0\n");
    }
    text.push_str(
        "defaults\n mode http\n timeout connect 5s\n timeout client 120s\n timeout http-keep-alive 120s\n \
         timeout server 60s\n option http-keep-alive\n http-reuse always\n",
    );
    if set_up.log.is_on() {
        text.push_str(" log global\n option httplog\n");
    }
    if set_up.retry {
        text.push_str(" option http-buffer-request\n retry-on conn-failure empty-response 503\n retries 2\n");
    }
    if set_up.peer == Peer::HaproxySplice {
        text.push_str(" option splice-auto\n");
    }
    text.push_str(&format!("frontend bench\n bind {}\n", order.listen));
    if set_up.peer == Peer::HaproxyFields {
        text.push_str(OUR_FIELDS);
    }
    text.push_str(&format!(
        " default_backend endpoint\nbackend endpoint\n server endpoint {}\n",
        order.to
    ));
    text
}

/// What evenkeel adds to each request and response.
const OUR_FIELDS: &str = " option forwardfor\n http-request set-header X-Request-Id %[uuid()]\n \
    http-request set-header X-Forwarded-Proto http\n http-request add-header Via \"1.1 haproxy\"\n \
    http-response add-header Via \"1.1 haproxy\"\n \
    http-response set-header X-Envoy-Upstream-Service-Time 0\n";
