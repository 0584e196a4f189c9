//! Real servers, installed where need be and started as they ship, each with a ledger of what it applied.

use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::Fallible;
use crate::race::install;
use crate::race::ledger::Ledger;
use crate::race::net::Namespace;

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
            Self::Uvicorn | Self::Apache => "defaults",
            Self::Gunicorn => "gthread, 4 threads, defaults",
            Self::Nginx => "defaults, 75 s: no close to meet",
            Self::NginxShort => "keepalive_timeout 2s",
            Self::Go => "net/http, ReadTimeout 5s",
        }
    }

    /// Its port in the lab.
    pub(crate) fn port(self) -> u16 {
        9101 + self as u16
    }

    /// When it is believed to close idle connections; the lab sees for itself soon.
    pub(crate) fn idle(self) -> Duration {
        Duration::from_secs(match self {
            Self::Node => 6,
            Self::Uvicorn | Self::Apache | Self::Go => 5,
            Self::Gunicorn | Self::NginxShort => 2,
            Self::Nginx => 75,
        })
    }

    /// Whether its answers repeat the id and the length that it was sent.
    pub(crate) fn echoes(self) -> bool {
        !matches!(self, Self::Nginx | Self::NginxShort | Self::Apache)
    }

    /// Starts it, after installing what it needs, and waits until it listens.
    ///
    /// # Errors
    /// Why it can not run on this machine.
    pub(crate) fn start(self, namespace: &Namespace) -> Fallible<RunningServer> {
        let directory = tempfile::tempdir()?;
        let ledger = directory.path().join("ledger");
        // Workers that give up root write to it, too.
        File::create(&ledger)?;
        open_to_all(directory.path())?;
        open_to_all(&ledger)?;
        let mut command = self.command(directory.path(), &ledger)?;
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

    fn command(self, directory: &Path, ledger: &Path) -> Fallible<Command> {
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text);
        let address = format!("0.0.0.0:{}", self.port());
        Ok(match self {
            Self::Node => {
                install::debian("node", "nodejs")?;
                write("node.js", include_str!("programs/node.js"))?;
                command("node", &["node.js"])
            }
            Self::Uvicorn => {
                let program = install::python("uvicorn", "uvicorn")?;
                write("race_asgi.py", include_str!("programs/race_asgi.py"))?;
                let port = self.port().to_string();
                let arguments = [
                    "race_asgi:app",
                    "--host",
                    "0.0.0.0",
                    "--port",
                    &port,
                    "--no-access-log",
                ];
                command(program, &arguments)
            }
            Self::Gunicorn => {
                let program = install::python("gunicorn", "gunicorn")?;
                write("race_wsgi.py", include_str!("programs/race_wsgi.py"))?;
                command(
                    program,
                    &[
                        "--worker-class",
                        "gthread",
                        "--threads",
                        "4",
                        "--bind",
                        &address,
                        "race_wsgi:app",
                    ],
                )
            }
            Self::Nginx | Self::NginxShort => {
                install::debian("nginx", "nginx-light")?;
                let short = if self == Self::NginxShort {
                    "keepalive_timeout 2s;"
                } else {
                    ""
                };
                write("nginx.conf", &nginx(directory, ledger, self.port(), short))?;
                let directory = directory.display().to_string();
                command("nginx", &["-p", &directory, "-c", "nginx.conf", "-e", "stderr"])
            }
            Self::Apache => {
                install::debian("apache2", "apache2-bin")?;
                write("apache.conf", &apache(directory, ledger, self.port()))?;
                let config = directory.join("apache.conf").display().to_string();
                command("apache2", &["-D", "FOREGROUND", "-f", &config])
            }
            Self::Go => {
                let compiler = if install::is_program("go") {
                    "go"
                } else {
                    "/usr/local/go/bin/go"
                };
                if !Path::new(compiler).is_file() {
                    install::debian("go", "golang-go")?;
                }
                write("main.go", include_str!("programs/main.go"))?;
                let built = Command::new(compiler)
                    .args(["build", "-o", "race", "main.go"])
                    .current_dir(directory)
                    .output();
                let built = built.map_err(|error| format!("the Go compiler: {error}"))?;
                if !built.status.success() {
                    return Err(format!("go build: {}", String::from_utf8_lossy(&built.stderr)).into());
                }
                command(directory.join("race"), &[])
            }
        })
    }
}

impl RunningServer {
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

    fn end(&mut self) {
        use nix::sys::signal::{Signal, kill};
        let Ok(pid) = i32::try_from(self.child.id()) else {
            return;
        };
        // SIGTERM, so that masters take their workers along; it fails only when they have ended already.
        let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
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

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn open_to_all(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}

fn nginx(directory: &Path, ledger: &Path, port: u16, more: &str) -> String {
    let (directory, ledger) = (directory.display(), ledger.display());
    format!(
        "daemon off; pid {directory}/pid; events {{}}\n\
         http {{\n log_format race '$http_x_race_id $status'; access_log {ledger} race; {more}\n \
         client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;\n \
         fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;\n \
         server {{ listen {port}; location / {{ return 200 'applied\\n'; }} }}\n}}\n"
    )
}

fn apache(directory: &Path, ledger: &Path, port: u16) -> String {
    let (directory, ledger) = (directory.display(), ledger.display());
    format!(
        "ServerRoot {directory}\nServerName race.test\nPidFile {directory}/pid\nListen 0.0.0.0:{port}\n\
         LoadModule mpm_event_module {APACHE_MODULES}/mod_mpm_event.so\n\
         LoadModule authz_core_module {APACHE_MODULES}/mod_authz_core.so\n\
         LoadModule alias_module {APACHE_MODULES}/mod_alias.so\n\
         User nobody\nGroup nogroup\nErrorLog /dev/stderr\n\
         LogFormat \"%{{X-Race-Id}}i %>s\" race\nCustomLog {ledger} race\nRedirectMatch 204 ^/\n"
    )
}

/// Where Debian's apache2-bin puts them.
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";
