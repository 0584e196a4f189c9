//! HAProxy with connection limits, a bounded queue, retries elsewhere, and checks of both kinds.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{CONNECTIONS_PER_ENDPOINT, Care, Setting, TRY_TIMEOUT_MS};
use crate::Fallible;
use crate::overload::endpoint::HEALTH_PATH;

/// The command that runs it.
pub(super) fn command(setting: &Setting<'_>, directory: &Path, port: u16) -> Fallible<Command> {
    let config = directory.join("haproxy.cfg");
    std::fs::write(&config, configuration(setting, port))?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&config);
    Ok(command)
}

fn configuration(setting: &Setting<'_>, port: u16) -> String {
    // Its servers' maxqueue only sends requests back to the queue of all, so the queue is bounded by its
    // length, and by time, which is the manual's advice for when servers are full.
    let (connections, queue, queue_ms, server_ms, clients) = match setting.care {
        Care::Usual | Care::Retry503 | Care::Hedge => (
            CONNECTIONS_PER_ENDPOINT,
            CONNECTIONS_PER_ENDPOINT,
            200,
            TRY_TIMEOUT_MS,
            CLIENTS_USUAL,
        ),
        Care::Eight => (8, 16, 200, TRY_TIMEOUT_MS, CLIENTS_USUAL),
        Care::EightAndAll => (8, CLIENTS_MANY, 60_000, 60_000, CLIENTS_MANY),
    };
    // `observe layer7` takes a server out by what its answers say, `check` by asking; `redispatch 1` makes
    // each retry go elsewhere; 503 among the retry conditions, as its manual lists for stateless services.
    let mut text = format!(
        "global\n nbthread {workers}\n maxconn {clients}\n\
         defaults\n mode http\n timeout connect 500ms\n timeout client 120s\n timeout http-keep-alive 120s\n \
         timeout server {server_ms}ms\n timeout queue {queue_ms}ms\n timeout check 1s\n retries 2\n \
         option redispatch 1\n retry-on conn-failure empty-response response-timeout 503\n \
         option httpchk GET {HEALTH_PATH}\n \
         default-server maxconn {connections} check inter 250ms fall 2 rise 2 \
         observe layer7 error-limit 10 on-error mark-down\n\
         frontend overload\n bind 127.0.0.1:{port}\n",
        workers = setting.workers
    );
    for (index, route) in setting.routes.iter().enumerate() {
        // Writing to a String can not fail.
        let _ = writeln!(text, " use_backend route-{index} if {{ path {} }}", route.path);
    }
    for (index, route) in setting.routes.iter().enumerate() {
        let _ = writeln!(
            text,
            "backend route-{index}\n http-request deny deny_status 503 if {{ queue ge {queue} }}"
        );
        for (number, endpoint) in route.endpoints.iter().enumerate() {
            let _ = writeln!(text, " server endpoint-{number} {endpoint}");
        }
    }
    text
}

const CLIENTS_USUAL: usize = 4_000;
/// It reserves two descriptors for each, of the 20,000 that a machine usually allows.
const CLIENTS_MANY: usize = 9_900;
