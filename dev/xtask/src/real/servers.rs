//! Real servers, installed where need be and started as they ship, each with a ledger of what it applied.

mod commands;

use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::Fallible;
use crate::race::install;
use crate::race::ledger::Ledger;
use crate::race::net::Namespace;
use crate::race::plan::Script;

/// A real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// Node's http
    Node,
    /// uvicorn
    Uvicorn,
    /// gunicorn with threads (gthread)
    Gunicorn,
    /// nginx; its default of 75 s is longer than evenkeel keeps a connection
    Nginx,
    /// nginx with `keepalive_timeout 2s`
    #[value(name = "nginx-2s")]
    NginxShort,
    /// Apache with mpm_event
    Apache,
    /// Go's net/http with `ReadTimeout: 5s` (its default never closes)
    Go,
    /// hypercorn
    Hypercorn,
    /// Puma
    Puma,
    /// Jetty's ServerConnector
    Jetty,
    /// Tomcat's Http11NioProtocol, with the 20 s of the server.xml that it ships with
    Tomcat,
    /// lighttpd
    Lighttpd,
    /// h2o
    H2o,
    /// uWSGI's own HTTP socket, which closes each connection behind its response without a word
    Uwsgi,
    /// gunicorn's default workers (sync), which close each connection behind its response, announced
    #[value(name = "gunicorn-sync")]
    GunicornSync,
    /// gunicorn with uvicorn's workers
    #[value(name = "gunicorn-uvicorn")]
    GunicornUvicorn,
}

/// A server under way. Dropping it ends it and all its workers.
pub(crate) struct RunningServer {
    child: Child,
    ledger: PathBuf,
    // Kept for its drop, which removes programs, configuration and ledger.
    _directory: tempfile::TempDir,
}

impl Server {
    /// Its name in tables and on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it is set to.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Node => "http.createServer, defaults",
            Self::Uvicorn | Self::Apache | Self::Hypercorn | Self::Puma | Self::Lighttpd | Self::H2o => {
                "defaults"
            }
            Self::Jetty => "ServerConnector, defaults",
            Self::Tomcat => "Http11NioProtocol, connectionTimeout 20000 as in its server.xml",
            Self::Uwsgi => "--http-socket: it closes behind each response",
            Self::Gunicorn => "gthread, 4 threads, defaults",
            Self::GunicornSync => "sync workers: they close behind each response",
            Self::GunicornUvicorn => "uvicorn.workers.UvicornWorker, defaults",
            Self::Nginx => "defaults, 75 s: no close to meet",
            Self::NginxShort => "keepalive_timeout 2s",
            Self::Go => "net/http, ReadTimeout 5s",
        }
    }

    /// Whether it is part of the quick run: it needs no installing that others do not, and closes soon.
    pub(crate) fn is_quick(self) -> bool {
        matches!(
            self,
            Self::Node | Self::Uvicorn | Self::Gunicorn | Self::NginxShort | Self::Apache | Self::Go
        )
    }

    /// Its port in the lab.
    pub(crate) fn port(self) -> u16 {
        9101 + self as u16
    }

    /// When it is believed to close idle connections; the lab sees for itself soon.
    pub(crate) fn idle(self) -> Duration {
        Duration::from_millis(match self {
            Self::Node => 6000,
            Self::Uvicorn | Self::Apache | Self::Go | Self::Hypercorn => 5000,
            Self::Gunicorn | Self::GunicornUvicorn | Self::NginxShort => 2000,
            Self::Nginx => 75_000,
            Self::Puma => 20_200,
            Self::Tomcat => 20_500,
            Self::Jetty => 30_000,
            Self::Lighttpd => 6000,
            Self::H2o => 10_000,
            Self::Uwsgi | Self::GunicornSync => 0,
        })
    }

    /// What its lanes do: where no connection is ever idle, there is no moment to aim at.
    pub(crate) fn script(self) -> Script {
        match self {
            Self::Uwsgi | Self::GunicornSync => Script::Steady,
            _ => Script::Aim,
        }
    }

    /// Whether its answers repeat the id and the length that it was sent.
    pub(crate) fn echoes(self) -> bool {
        !matches!(
            self,
            Self::Nginx | Self::NginxShort | Self::Apache | Self::Lighttpd | Self::H2o
        )
    }

    /// Starts it, with more arguments, after installing what it needs, and waits until it listens.
    ///
    /// # Errors
    /// Why it can not run on this machine.
    pub(crate) fn start(self, namespace: &Namespace, more: &[&str]) -> Fallible<RunningServer> {
        let directory = tempfile::tempdir()?;
        let ledger = directory.path().join("ledger");
        // Workers that give up root write to it, too.
        File::create(&ledger)?;
        open_to_all(directory.path())?;
        open_to_all(&ledger)?;
        let mut command = self.command(directory.path(), &ledger)?;
        command.args(more);
        let log = File::create(install::lanes_directory()?.join(format!("real-{}.log", self.name())))?;
        command
            .env("RACE_LEDGER", &ledger)
            .env("RACE_PORT", self.port().to_string());
        command.current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = namespace.run(|| command.spawn())??;
        let mut running = RunningServer {
            child,
            ledger,
            _directory: directory,
        };
        namespace.run(|| running.wait_until_it_listens(self.port()))??;
        Ok(running)
    }
}

impl RunningServer {
    /// Has it reload, as its operators do (SIGHUP).
    pub(crate) fn reload(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Ends it and gives its ledger.
    ///
    /// # Errors
    /// When the ledger can not be read.
    pub(crate) fn finish(mut self) -> Fallible<Ledger> {
        self.end();
        let mut ledger = Ledger::new();
        for line in std::fs::read_to_string(&self.ledger)?.lines() {
            // A status that is no success was logged, not applied.
            let Some((id, status)) = line.split_once(' ') else {
                continue;
            };
            if let (Ok(id), true) = (u64::from_str_radix(id, 16), status.starts_with('2')) {
                *ledger.entry(id).or_default() += 1;
            }
        }
        Ok(ledger)
    }

    fn wait_until_it_listens(&mut self, port: u16) -> Fallible<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("it ended at its start ({status})").into());
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("it does not listen after 20 s".into())
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It fails only when it has ended already.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
    }

    fn end(&mut self) {
        // So that masters take their workers along.
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn open_to_all(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}
