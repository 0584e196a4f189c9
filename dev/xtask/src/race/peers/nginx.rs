//! nginx as a reverse proxy with upstream keep-alive.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{SetUp, Site};
use crate::Fallible;

/// The command that runs it.
pub(super) fn command(site: &Site<'_>, directory: &Path, set_up: SetUp) -> Fallible<Command> {
    let config = directory.join("nginx.conf");
    std::fs::write(&config, configuration(site, directory, set_up))?;
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(directory)
        .arg("-c")
        .arg(&config)
        .args(["-e", "stderr"]);
    Ok(command)
}

fn configuration(site: &Site<'_>, directory: &Path, set_up: SetUp) -> String {
    let directory = directory.display();
    let again = match set_up {
        SetUp::Stock => "",
        SetUp::Best => {
            "proxy_next_upstream error timeout; proxy_next_upstream_tries 3; proxy_socket_keepalive on;"
        }
        SetUp::Bold => {
            "proxy_next_upstream error timeout non_idempotent; proxy_next_upstream_tries 3; proxy_socket_keepalive on;"
        }
    };
    let timeout = site.attempt_timeout.map_or_else(String::new, |timeout| {
        format!(
            "proxy_read_timeout {0}ms; proxy_connect_timeout {0}ms;",
            timeout.as_millis()
        )
    });
    let mut text = format!(
        "daemon off; master_process off; worker_processes 1; pid {directory}/pid; error_log stderr error;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n access_log off; client_max_body_size 0; keepalive_timeout 120s; keepalive_requests 1000000;\n \
         client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;\n \
         fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;\n \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; {again} {timeout}\n"
    );
    for (index, (_, endpoint)) in site.lanes.iter().enumerate() {
        // Writing to a String can not fail.
        let _ = writeln!(
            text,
            " upstream lane_{index} {{ server {endpoint}; keepalive 8; }}"
        );
    }
    let _ = writeln!(text, " server {{\n  listen 127.0.0.1:{};", site.port);
    for (index, (path, _)) in site.lanes.iter().enumerate() {
        let _ = writeln!(text, "  location = {path} {{ proxy_pass http://lane_{index}; }}");
    }
    text + " }\n}\n"
}
