//! The gateway's process, started for one test and gone with it.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Message, Peer, Upstream, eventually};

/// A running `evenkeel run`.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    /// The first listener's address.
    pub(crate) address: SocketAddr,
    /// The admin's address.
    pub(crate) admin: SocketAddr,
    stdout: Lines,
    stderr: Lines,
    /// The configuration's file, where there is one.
    file: Option<PathBuf>,
    _folder: Option<tempfile::TempDir>,
}

impl Gateway {
    /// Before one upstream, with `--to`.
    #[track_caller]
    pub(crate) fn before(upstream: &Upstream) -> Self {
        Self::to(upstream.address, &[])
    }

    /// Before one upstream, with more arguments.
    #[track_caller]
    pub(crate) fn to(upstream: SocketAddr, more: &[&str]) -> Self {
        let to = format!("http://{upstream}");
        let arguments = [&["--to", &to, "--listen", "127.0.0.1:0"], more].concat();
        Self::start(&arguments, None, None)
    }

    /// With this configuration in a file of its own.
    #[track_caller]
    pub(crate) fn configured(yaml: &str) -> Self {
        Self::configured_with(yaml, &[])
    }

    /// With this configuration and more arguments.
    #[track_caller]
    pub(crate) fn configured_with(yaml: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, yaml).expect("a file");
        let path = file.to_str().expect("UTF-8").to_owned();
        Self::start(&[&["-c", &path], more].concat(), Some(file), Some(folder))
    }

    /// Before one upstream, with no more than so many descriptors.
    #[track_caller]
    pub(crate) fn with_descriptors(upstream: &str, more: &[&str], descriptors: u32) -> Self {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_evenkeel")]);
        let to = format!("http://{upstream}");
        let arguments = [&["--to", &to, "--listen", "127.0.0.1:0"], more].concat();
        Self::launch(command, &arguments, None, None)
    }

    #[track_caller]
    fn start(arguments: &[&str], file: Option<PathBuf>, folder: Option<tempfile::TempDir>) -> Self {
        Self::launch(
            Command::new(env!("CARGO_BIN_EXE_evenkeel")),
            arguments,
            file,
            folder,
        )
    }

    #[track_caller]
    fn launch(
        mut command: Command,
        arguments: &[&str],
        file: Option<PathBuf>,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let workers: &[&str] = match arguments.contains(&"--workers") {
            true => &[],
            false => &["--workers", "2"],
        };
        let mut child = command
            .args(["run", "--admin", "127.0.0.1:0"])
            .args(workers)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let stdout = Lines::of(child.stdout.take().expect("piped"));
        let stderr = Lines::of(child.stderr.take().expect("piped"));
        eventually("the gateway to start", || {
            let said = stderr.all();
            let over = child.try_wait().expect("a child").is_some();
            assert!(!over, "the gateway ended: {}", said.join("\n"));
            said.iter().any(|line| line.starts_with("  try ")).then_some(())
        });
        let announced = |what: &str| {
            stderr.all().iter().find_map(|line| {
                let address = line
                    .strip_prefix("  ")?
                    .strip_prefix(what)?
                    .trim_start()
                    .split_once("://")?
                    .1;
                address.split(' ').next()?.parse().ok()
            })
        };
        let address = announced("listening").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 1)));
        let admin = announced("admin").expect("an admin address");
        Self {
            child,
            address,
            admin,
            stdout,
            stderr,
            file,
            _folder: folder,
        }
    }

    /// A new connection to the first listener.
    #[track_caller]
    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// One request on a connection of its own, and its response.
    #[track_caller]
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.connect();
        client.send(request.as_ref());
        let method = String::from_utf8_lossy(request.as_ref())
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        client.response_to(&method)
    }

    /// A GET of `path` with this `Host`.
    #[track_caller]
    pub(crate) fn get(&self, host: &str, path: &str) -> Message {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// A GET of the admin's.
    #[track_caller]
    pub(crate) fn admin_get(&self, path: &str) -> Message {
        let mut client = Peer::connect(self.admin);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        client.response()
    }

    /// The figure of a line `name: figure` of the admin's `/stats`.
    #[track_caller]
    pub(crate) fn stat(&self, name_ends_with: &str) -> u64 {
        let stats = self.admin_get("/stats").text();
        stats
            .lines()
            .find_map(|line| {
                line.split_once(": ")
                    .filter(|(name, _)| name.ends_with(name_ends_with))
            })
            .and_then(|(_, figure)| figure.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name_ends_with} in:\n{stats}"))
    }

    /// With this configuration as Kubernetes mounts a ConfigMap: the file is a link into a folder
    /// that is itself reached by the link `..data`, and that link is swapped.
    #[track_caller]
    pub(crate) fn mounted(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.yaml");
        mount(folder.path(), yaml);
        std::os::unix::fs::symlink("..data/gateway.yaml", &file).expect("a link");
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        Self::start(&["-c", &path], Some(file), Some(folder))
    }

    /// Swaps the mounted folder, as Kubernetes does when a ConfigMap changes.
    #[track_caller]
    pub(crate) fn remount(&self, yaml: &str) {
        mount(self.file().parent().expect("a folder"), yaml);
    }

    fn file(&self) -> &Path {
        self.file.as_ref().expect("started with a file")
    }

    /// Writes the configuration anew and leaves it to the gateway to notice.
    #[track_caller]
    pub(crate) fn rewrite(&self, yaml: &str) {
        std::fs::write(self.file(), yaml).expect("the file");
    }

    /// Removes the configuration's file.
    #[track_caller]
    pub(crate) fn remove_file(&self) {
        std::fs::remove_file(self.file()).expect("the file");
    }

    /// Writes the configuration anew and waits until the gateway says what it made of it; gives
    /// that line.
    #[track_caller]
    pub(crate) fn reconfigure(&self, yaml: &str) -> String {
        let before = self.verdicts().len();
        self.rewrite(yaml);
        eventually("the reload", || self.verdicts().into_iter().nth(before))
    }

    fn verdicts(&self) -> Vec<String> {
        self.stderr
            .all()
            .into_iter()
            .filter(|line| line.contains("configuration loaded") || line.contains("configuration rejected"))
            .collect()
    }

    /// All of standard error so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.all().join("\n")
    }

    /// The access log once it has `count` lines.
    #[track_caller]
    pub(crate) fn log_lines(&self, count: usize) -> Vec<String> {
        eventually("access log lines", || {
            Some(self.stdout.all()).filter(|lines| lines.len() >= count)
        })
    }

    /// The only access log line, as JSON.
    #[track_caller]
    pub(crate) fn only_json_line(&self) -> serde_json::Value {
        let lines = self.log_lines(1);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        serde_json::from_str(&lines[0]).unwrap_or_else(|why| panic!("{why}: {}", lines[0]))
    }

    /// Memory that the process has in use, as the kernel counts it.
    #[track_caller]
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("Linux");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<usize>()
            .expect("a number")
            * 1024
    }

    /// Descriptors that the process has open, of those that a limit of `most` leaves it. (What it inherited may have
    /// higher numbers.)
    #[track_caller]
    pub(crate) fn descriptors(&self, most: u32) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        let open = std::fs::read_dir(folder).expect("it runs").map_while(Result::ok);
        let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        open.filter_map(number).filter(|&number| number < most).count()
    }

    /// How often a thread of the process has gone to sleep so far.
    #[track_caller]
    pub(crate) fn sleeps(&self) -> u64 {
        let tasks = format!("/proc/{}/task", self.child.id());
        let of = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|count| count.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        let tasks = std::fs::read_dir(tasks).expect("it runs");
        tasks.map_while(Result::ok).map(of).sum()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("our own child");
    }

    /// Waits for the process to end.
    #[track_caller]
    pub(crate) fn exit(&mut self) -> ExitStatus {
        eventually("the process to end", || self.child.try_wait().expect("a child"))
    }

    /// Whether the process still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "the gateway said:\n{}\naccess log:\n{}",
                self.said(),
                self.stdout.all().join("\n")
            );
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Puts `yaml` into a new folder and points `..data` to it in one step.
fn mount(folder: &Path, yaml: &str) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let data = format!("..data-{}", NEXT.fetch_add(1, Ordering::SeqCst));
    std::fs::create_dir(folder.join(&data)).expect("a folder");
    std::fs::write(folder.join(&data).join("gateway.yaml"), yaml).expect("a file");
    std::os::unix::fs::symlink(&data, folder.join("..data-new")).expect("a link");
    std::fs::rename(folder.join("..data-new"), folder.join("..data")).expect("one step");
}

/// What a process has written so far, line by line.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(source: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let noted = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                noted.0.lock().expect("no panic").push(line);
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// A port that nobody listens on, and that no other test of this run is given. Below the range
/// that the kernel draws client ports from, so that no connection takes it meanwhile.
#[track_caller]
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + (std::process::id() % 200) as u16 * 100;
    eventually("a free port", || {
        let port = base + NEXT.fetch_add(1, Ordering::SeqCst);
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    })
}
