//! `cargo xtask dist`: the program that is shipped, built with a profile of itself.
//!
//! ```text
//! build with counters --> train --> merge what was counted --> build with the profile
//!       counting/        counters/     evenkeel.profdata            using/ --> dist/evenkeel
//! ```
//! A compiler that knows which branches are taken lays hot code out in a line, inlines along it, and keeps what
//! never runs out of its way. The training is the bench's own load, so a profile needs nothing but this machine.

mod sources;
mod tools;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

use tools::Tools;

use crate::race::install::{lanes_directory, repository};
use crate::step::{Outcome, cargo, run};
use crate::{Fallible, Verdict, bench};

/// Trains anew, builds, and says where the program is.
///
/// # Errors
/// When a tool is missing, a build fails, or the program does not pass its training.
pub(crate) fn dist() -> Fallible<Verdict> {
    let begin = Instant::now();
    let workshop = Workshop::open()?;
    workshop.train()?;
    let program = workshop.build()?;
    let mib = fs::metadata(&program)?.len() as f64 / MIB;
    println!(
        "\n{}: {mib:.1} MiB, in {} s\nrun it:     {0} run --to http://127.0.0.1:3000\nmeasure it: cargo xtask bench small",
        program.display(),
        begin.elapsed().as_secs()
    );
    Ok(Verdict::Passed)
}

/// The program, built only as far as its sources have changed since the last time.
///
/// # Errors
/// As [`dist`].
pub(crate) fn program() -> Fallible<PathBuf> {
    let workshop = Workshop::open()?;
    if !workshop.profile_is_fresh()? {
        workshop.train()?;
    }
    workshop.build()
}

/// Where cargo builds.
///
/// # Errors
/// When it can not be made.
pub(crate) fn target_directory() -> Fallible<PathBuf> {
    let lanes = lanes_directory()?;
    Ok(lanes.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Everything between sources and program.
struct Workshop {
    tools: Tools,
    target: PathBuf,
}

impl Workshop {
    fn open() -> Fallible<Self> {
        Ok(Self {
            tools: Tools::find()?,
            target: target_directory()?,
        })
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.target.join("dist-profile").join(name)
    }

    fn profile(&self) -> PathBuf {
        self.folder("evenkeel.profdata")
    }

    fn profile_is_fresh(&self) -> Fallible<bool> {
        match fs::metadata(self.profile()) {
            Ok(profile) => Ok(profile.modified()? >= sources::last_change(&repository())?),
            Err(_) => Ok(false),
        }
    }

    /// Makes the profile.
    fn train(&self) -> Fallible<()> {
        let begin = SystemTime::now();
        let counters = self.folder("counters");
        // Counts of an earlier program would be added to those of this one.
        remove(&counters)?;
        eprintln!("1/4 building the program that counts");
        let counting = self.cargo_build("counting", &flag("-Cprofile-generate=", &counters))?;
        eprintln!("2/4 training it");
        bench::train(&counting)?;
        eprintln!("3/4 merging what it counted");
        let mut merge = Command::new(&self.tools.profdata);
        merge
            .args(["merge", "--output"])
            .arg(self.profile())
            .arg(&counters);
        if run(merge) != Outcome::Passed {
            return Err("llvm-profdata can not merge the counters".into());
        }
        // A source that was changed meanwhile is newer than the profile.
        File::options()
            .write(true)
            .open(self.profile())?
            .set_modified(begin)?;
        // Cargo does not notice another profile under the same path for crates that are not ours.
        remove(&self.folder("using"))
    }

    /// Builds with the profile; without a change since the last time that takes no time.
    fn build(&self) -> Fallible<PathBuf> {
        eprintln!("4/4 building the program with its profile");
        let built = self.cargo_build("using", &flag("-Cprofile-use=", &self.profile()))?;
        let folder = self.target.join("dist");
        fs::create_dir_all(&folder)?;
        let program = folder.join("evenkeel");
        // Renamed into its place, since a program that runs can not be written to.
        let beside = folder.join("evenkeel.new");
        fs::copy(built, &beside)?;
        fs::rename(beside, &program)?;
        Ok(program)
    }

    /// Builds evenkeel with one more flag, in a build directory of its own.
    fn cargo_build(&self, folder: &str, flag: &OsStr) -> Fallible<PathBuf> {
        let directory = self.folder(folder);
        let mut build = cargo(&["build", "--locked", "--package", "evenkeel", "--profile", "dist"]);
        build
            .arg("--target-dir")
            .arg(&directory)
            // Naming the target, though it is this machine's own, keeps the flag from build scripts and macros.
            .args(["--target", &self.tools.host])
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                flags_with(flag, |name| std::env::var_os(name)),
            );
        if run(build) != Outcome::Passed {
            return Err("evenkeel does not build".into());
        }
        Ok(directory.join(&self.tools.host).join("dist/evenkeel"))
    }
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

/// The compiler's flags that are set already, as cargo reads them, and one more.
fn flags_with(flag: &OsStr, set: impl Fn(&str) -> Option<OsString>) -> OsString {
    let plain = || {
        let flags = set("RUSTFLAGS")?.into_string().ok()?;
        let flags: Vec<&str> = flags.split_whitespace().collect();
        Some(OsString::from(flags.join(BETWEEN_FLAGS)))
    };
    let mut all = set("CARGO_ENCODED_RUSTFLAGS").or_else(plain).unwrap_or_default();
    if !all.is_empty() {
        all.push(BETWEEN_FLAGS);
    }
    all.push(flag);
    all
}

fn remove(folder: &Path) -> Fallible<()> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {why}", folder.display()).into())
        }
        _ => Ok(()),
    }
}

/// What stands between flags in `CARGO_ENCODED_RUSTFLAGS`, so that one may contain spaces.
const BETWEEN_FLAGS: &str = "\u{1f}";
const MIB: f64 = (1024 * 1024) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_are_set_stay_and_a_path_may_contain_spaces() {
        let added = flag("-Cprofile-use=", Path::new("a folder/profile"));
        let with = |name: &'static str, flags: &'static str| {
            flags_with(&added, move |asked| (asked == name).then(|| flags.into()))
        };
        assert_eq!(with("", ""), "-Cprofile-use=a folder/profile");
        assert_eq!(
            with("RUSTFLAGS", "-Cforce-frame-pointers  -g"),
            "-Cforce-frame-pointers\u{1f}-g\u{1f}-Cprofile-use=a folder/profile"
        );
        assert_eq!(
            with("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}a b"),
            "--cfg\u{1f}a b\u{1f}-Cprofile-use=a folder/profile"
        );
    }

    #[test]
    fn what_is_not_there_is_removed_already() -> Fallible<()> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("counters");
        remove(&folder)?;
        fs::create_dir_all(folder.join("deep"))?;
        remove(&folder)?;
        assert!(!folder.exists());
        Ok(())
    }
}
