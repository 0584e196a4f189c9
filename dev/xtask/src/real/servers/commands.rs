//! How each real server is installed and started.

use std::path::Path;
use std::process::Command;

use super::Server;
use crate::Fallible;
use crate::race::install;

impl Server {
    /// What runs it, with its files in `directory`.
    ///
    /// # Errors
    /// Why it can not run on this machine.
    pub(super) fn command(self, directory: &Path, ledger: &Path) -> Fallible<Command> {
        let write = |name: &str, text: &str| std::fs::write(directory.join(name), text);
        let address = format!("0.0.0.0:{}", self.port());
        Ok(match self {
            Self::Node => {
                install::debian("node", "nodejs")?;
                write("node.js", include_str!("../programs/node.js"))?;
                command("node", &["node.js"])
            }
            Self::Uvicorn => {
                let program = install::python("uvicorn", "uvicorn")?;
                write("race_asgi.py", include_str!("../programs/race_asgi.py"))?;
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
            Self::Gunicorn | Self::GunicornSync => {
                let program = install::python("gunicorn", "gunicorn")?;
                write("race_wsgi.py", include_str!("../programs/race_wsgi.py"))?;
                let mut command = command(program, &["--bind", &address, "race_wsgi:app"]);
                if self == Self::Gunicorn {
                    command.args(["--worker-class", "gthread", "--threads", "4"]);
                }
                command
            }
            Self::GunicornUvicorn => {
                install::python("uvicorn", "uvicorn")?;
                let program = install::python("gunicorn", "gunicorn")?;
                write("race_asgi.py", include_str!("../programs/race_asgi.py"))?;
                let mut command = command(program, &["--bind", &address, "race_asgi:app"]);
                command.args(["--worker-class", "uvicorn.workers.UvicornWorker"]);
                command
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
                write("main.go", include_str!("../programs/main.go"))?;
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
            Self::Hypercorn => {
                let program = install::python("hypercorn", "hypercorn")?;
                write("race_asgi.py", include_str!("../programs/race_asgi.py"))?;
                let mut command = command(program, &["--bind", &address, "race_asgi:app"]);
                command.env("PYTHONPATH", directory);
                command
            }
            Self::Puma => {
                install::debian("puma", "puma")?;
                write("race.ru", include_str!("../programs/race.ru"))?;
                let address = format!("tcp://{address}");
                command("puma", &["-b", &address, "-e", "production", "race.ru"])
            }
            Self::Jetty => java(directory, "Jetty", include_str!("../programs/Jetty.java"), JETTY)?,
            Self::Tomcat => java(
                directory,
                "Tomcat",
                include_str!("../programs/Tomcat.java"),
                TOMCAT,
            )?,
            Self::Lighttpd => {
                install::debian("lighttpd", "lighttpd")?;
                write("lighttpd.conf", &lighttpd(directory, self.port()))?;
                let script = "cat > /dev/null\nprintf '%s 200\\n' \"$HTTP_X_RACE_ID\" >> LEDGER\n\
                              printf 'Status: 200\\n\\napplied\\n'\n";
                write(
                    "race.cgi",
                    &script.replace("LEDGER", &ledger.display().to_string()),
                )?;
                command("lighttpd", &["-D", "-f", "lighttpd.conf"])
            }
            Self::H2o => {
                install::debian("h2o", "h2o")?;
                write("h2o.conf", &h2o(directory, ledger, self.port()))?;
                command("h2o", &["-c", "h2o.conf"])
            }
            Self::Uwsgi => {
                install::debian("uwsgi", "uwsgi-core")?;
                if !Path::new(UWSGI_PYTHON).exists() {
                    install::debian("", "uwsgi-plugin-python3")?;
                }
                write("race_uwsgi.py", include_str!("../programs/race_uwsgi.py"))?;
                let mut command = command("uwsgi", &["--plugin", "python3", "--http-socket", &address]);
                command.args(["--wsgi-file", "race_uwsgi.py", "--callable", "app"]);
                command.args(["--master", "--need-app", "--die-on-term", "--disable-logging"]);
                command
            }
        })
    }
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
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

/// A Java program of one file, with the libraries of Maven `artifact`.
fn java(directory: &Path, name: &str, program: &str, artifact: &str) -> Fallible<Command> {
    if !install::is_program("java") {
        return Err("java is not installed".into());
    }
    let libraries = install::maven(artifact)?;
    let file = format!("{name}.java");
    std::fs::write(directory.join(&file), program)?;
    Ok(command(
        "java",
        &["-cp", &format!("{}/*", libraries.display()), &file],
    ))
}

fn lighttpd(directory: &Path, port: u16) -> String {
    let directory = directory.display();
    format!(
        "server.modules = (\"mod_rewrite\", \"mod_cgi\")\nserver.port = {port}\nserver.document-root = \"{directory}\"\n\
         server.upload-dirs = (\"{directory}\")\nurl.rewrite-once = (\"\" => \"/race.cgi\")\n\
         cgi.assign = (\".cgi\" => \"/bin/sh\")\n"
    )
}

fn h2o(directory: &Path, ledger: &Path, port: u16) -> String {
    let (directory, ledger) = (directory.display(), ledger.display());
    format!(
        "listen: {{host: 0.0.0.0, port: {port}}}\npid-file: {directory}/pid\nerror-log: /dev/stderr\n\
         access-log: {{path: {ledger}, format: '%{{X-Race-Id}}i %s'}}\nhosts:\n  default:\n    paths:\n      /:\n        \
         mruby.handler: |\n          Proc.new do |env| [200, {{}}, [\"applied\\n\"]] end\n"
    )
}

/// Where Debian's uwsgi-plugin-python3 puts it.
const UWSGI_PYTHON: &str = "/usr/lib/uwsgi/plugins/python3_plugin.so";
const JETTY: &str = "org.eclipse.jetty:jetty-server:12.0.15";
const TOMCAT: &str = "org.apache.tomcat.embed:tomcat-embed-core:10.1.34";
