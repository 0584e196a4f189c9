//! HAProxy, one thread.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{SetUp, Site};
use crate::Fallible;

/// The command that runs it.
pub(super) fn command(site: &Site<'_>, directory: &Path, set_up: SetUp) -> Fallible<Command> {
    let config = directory.join("haproxy.cfg");
    std::fs::write(&config, configuration(site, set_up))?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&config);
    Ok(command)
}

fn configuration(site: &Site<'_>, set_up: SetUp) -> String {
    // A request can only be sent again while it is whole in one buffer, hence the larger one.
    let (tuning, again) = match set_up {
        SetUp::Stock => ("", ""),
        SetUp::Best => (
            " tune.bufsize 65536\n",
            " option http-buffer-request\n retry-on conn-failure empty-response response-timeout\n",
        ),
        SetUp::Bold => (
            " tune.bufsize 65536\n",
            " option http-buffer-request\n retry-on conn-failure empty-response response-timeout\n retries 3\n",
        ),
    };
    let spare_posts = if set_up == SetUp::Best {
        " http-request disable-l7-retry if METH_POST\n"
    } else {
        ""
    };
    let timeout = site
        .attempt_timeout
        .unwrap_or(Duration::from_secs(60))
        .as_millis();
    let mut text = format!(
        "global\n nbthread 1\n maxconn 8000\n{tuning}defaults\n mode http\n timeout connect 5s\n \
         timeout client 120s\n timeout http-keep-alive 120s\n timeout server {timeout}ms\n{again}\
         frontend race\n bind 127.0.0.1:{}\n{spare_posts}",
        site.port
    );
    for (index, (path, _)) in site.lanes.iter().enumerate() {
        // Writing to a String can not fail.
        let _ = writeln!(text, " use_backend lane-{index} if {{ path {path} }}");
    }
    for (index, (_, endpoint)) in site.lanes.iter().enumerate() {
        let _ = write!(text, "backend lane-{index}\n server endpoint {endpoint}\n");
    }
    text
}
