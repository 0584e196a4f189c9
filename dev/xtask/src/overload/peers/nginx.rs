//! nginx with connection limits, passive checks and retries elsewhere. It has no queue.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::{CONNECTIONS_PER_ENDPOINT, Care, Setting, TRY_TIMEOUT_MS};
use crate::Fallible;

/// The command that runs it.
pub(super) fn command(setting: &Setting<'_>, directory: &Path, port: u16) -> Fallible<Command> {
    let config = directory.join("nginx.conf");
    std::fs::write(&config, configuration(setting, directory, port))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(directory).arg("-c").arg(&config);
    command.args(["-e", "stderr"]);
    Ok(command)
}

fn configuration(setting: &Setting<'_>, directory: &Path, port: u16) -> String {
    let directory = directory.display();
    // Without a master there is one worker, in the process that we started.
    let master = if setting.workers > 1 {
        "on; user root"
    } else {
        "off"
    };
    let connections = match setting.care {
        Care::Eight | Care::EightAndAll => 8,
        Care::Usual | Care::Retry503 | Care::Hedge => CONNECTIONS_PER_ENDPOINT,
    };
    let mut text = format!(
        "daemon off; master_process {master}; worker_processes {workers}; pid {directory}/pid;\n\
         error_log stderr crit;\nevents {{ worker_connections 8192; }}\n\
         http {{\n access_log off; keepalive_timeout 120s; keepalive_requests 1000000;\n \
         client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;\n \
         fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;\n \
         proxy_http_version 1.1; proxy_set_header Connection \"\";\n \
         proxy_connect_timeout 500ms; proxy_read_timeout {TRY_TIMEOUT_MS}ms;\n \
         proxy_next_upstream error timeout http_502 http_503 http_504;\n \
         proxy_next_upstream_tries 3; proxy_next_upstream_timeout 2s;\n",
        workers = setting.workers
    );
    for (index, route) in setting.routes.iter().enumerate() {
        // `zone` makes max_conns and the failure counts hold over all workers. Writing to a String can not fail.
        let _ = writeln!(text, " upstream route_{index} {{\n  zone route_{index} 256k;");
        for endpoint in &route.endpoints {
            let _ = writeln!(
                text,
                "  server {endpoint} max_conns={connections} max_fails=5 fail_timeout=3s;"
            );
        }
        let _ = writeln!(text, "  keepalive {connections};\n }}");
    }
    let _ = writeln!(text, " server {{\n  listen 127.0.0.1:{port} backlog=4096;");
    for (index, route) in setting.routes.iter().enumerate() {
        let _ = writeln!(
            text,
            "  location = {} {{ proxy_pass http://route_{index}; }}",
            route.path
        );
    }
    text + " }\n}\n"
}
