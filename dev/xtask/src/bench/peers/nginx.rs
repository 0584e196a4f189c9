//! nginx, one worker, with upstream keep-alive.

use std::process::Command;

use super::Order;
use crate::Fallible;

/// The command that runs it.
pub(super) fn command(order: &Order<'_>) -> Fallible<Command> {
    let config = order.directory.join("nginx.conf");
    std::fs::write(&config, configuration(order))?;
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(order.directory)
        .arg("-c")
        .arg(&config)
        .args(["-e", "stderr"]);
    Ok(command)
}

fn configuration(order: &Order<'_>) -> String {
    let (set_up, directory) = (order.set_up, order.directory.display());
    let log = if set_up.log.is_on() {
        format!("access_log {directory}/access.log combined")
    } else {
        "access_log off".to_owned()
    };
    let again = if set_up.retry {
        "proxy_next_upstream error timeout http_503 non_idempotent; proxy_next_upstream_tries 3;"
    } else {
        ""
    };
    // Its own limits of requests for each connection, 1,000, would close connections under load.
    format!(
        "daemon off; master_process off; worker_processes 1; pid {directory}/pid; error_log stderr error;\n\
         events {{ worker_connections {connections}; }}\n\
         http {{\n {log}; client_max_body_size 0; keepalive_timeout 120s; keepalive_requests 100000000;\n \
         client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;\n \
         fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;\n \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; {again}\n \
         upstream endpoint {{ server {endpoint}; keepalive 256; keepalive_requests 100000000; }}\n \
         server {{\n  listen {listen};\n  location / {{ proxy_pass http://endpoint; }}\n }}\n}}\n",
        connections = set_up.clients_max.max(2_000) + 1_000,
        endpoint = order.to,
        listen = order.listen,
    )
}
