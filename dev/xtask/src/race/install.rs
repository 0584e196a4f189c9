//! Programs that the lanes need and a fresh machine may lack: Debian's packages, and a Python venv.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Fallible;

/// Where lanes keep what they install and what they log, inside the build directory.
///
/// # Errors
/// When it can not be made.
pub(crate) fn lanes_directory() -> Fallible<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let directory = std::path::absolute(target.join("lanes"))?;
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    manifest
        .and_then(|path| path.ancestors().nth(2).map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("."))
}

/// Makes sure that `program` is there, from Debian's `package` if need be.
///
/// # Errors
/// Why it is not.
pub(crate) fn debian(program: &str, package: &str) -> Fallible<()> {
    if is_program(program) {
        return Ok(());
    }
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Where it is obeyed, no daemon is started: the lanes start their own.
        .env("RUNLEVEL", "1");
    succeed(install)
        .map_err(|why| format!("{program} is not installed, and the package {package}: {why}").into())
}

/// The path of `program`, from the Python package `package` in the lanes' own venv.
///
/// # Errors
/// Why it is not there.
pub(crate) fn python(program: &str, package: &str) -> Fallible<PathBuf> {
    let path = venv()?.join("bin").join(program);
    if !path.exists() {
        pip(package)?;
    }
    Ok(path)
}

/// The interpreter of the lanes' own venv, which has the Python module `module`, a package of the same name.
///
/// # Errors
/// Why it has not.
pub(crate) fn python_with(module: &str) -> Fallible<PathBuf> {
    let path = venv()?.join("bin/python3");
    let mut probe = Command::new(&path);
    probe.args(["-c", &format!("import {module}")]);
    if succeed(probe).is_err() {
        pip(module)?;
    }
    Ok(path)
}

fn venv() -> Fallible<PathBuf> {
    Ok(lanes_directory()?.join("venv"))
}

/// Installs a Python package into the lanes' own venv.
fn pip(package: &str) -> Fallible<()> {
    let venv = venv()?;
    if !venv.join("bin/pip").exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&venv);
        succeed(make).map_err(|why| format!("a Python venv for {package}: {why}"))?;
    }
    let mut install = Command::new(venv.join("bin/pip"));
    install.args(["install", "--quiet", package]);
    succeed(install).map_err(|why| format!("the Python package {package}: {why}").into())
}

/// The folder with the jars of Maven's `artifact` (group:name:version) and of what it needs.
///
/// # Errors
/// Why they are not there.
pub(crate) fn maven(artifact: &str) -> Fallible<PathBuf> {
    let folder = lanes_directory()?.join("maven").join(artifact.replace(':', "-"));
    let jars = folder.join("jars");
    if jars.exists() {
        return Ok(jars);
    }
    if !is_program("mvn") {
        return Err(format!("mvn is not installed, and {artifact} comes by it").into());
    }
    let [group, name, version] = artifact.split(':').collect::<Vec<_>>()[..] else {
        return Err(format!("{artifact} is not group:name:version").into());
    };
    std::fs::create_dir_all(&folder)?;
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>race</groupId><artifactId>race</artifactId>\
         <version>1</version><dependencies><dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>\
         <version>{version}</version></dependency></dependencies></project>"
    );
    std::fs::write(folder.join("pom.xml"), pom)?;
    let mut fetch = Command::new("mvn");
    fetch
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DoutputDirectory=fetched",
        ])
        .current_dir(&folder);
    succeed(fetch).map_err(|why| format!("{artifact} by Maven: {why}"))?;
    // Only a whole set gets the name that is looked for.
    std::fs::rename(folder.join("fetched"), &jars)?;
    Ok(jars)
}

/// Whether the shell would find `program`.
pub(crate) fn is_program(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

fn succeed(mut command: Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .lines()
        .last()
        .map_or_else(|| output.status.to_string(), str::to_owned))
}

/// The version that a program tells when it is asked by `argument`, on either output. Nothing else of what it says, in
/// which there may be its path.
///
/// # Errors
/// When it does not start, or tells none.
pub(crate) fn version(program: &Path, argument: &str) -> Fallible<String> {
    let output = Command::new(program).arg(argument).output()?;
    let said = [output.stdout, output.stderr].concat();
    version_in(&String::from_utf8_lossy(&said))
        .ok_or_else(|| format!("{} tells no version", program.display()).into())
}

/// The first word that looks like a version, apart from what slashes join it to.
fn version_in(said: &str) -> Option<String> {
    said.split(|letter: char| letter.is_whitespace() || letter == '/')
        .find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let version = |said: &str| version_in(said).unwrap_or_default();
        assert_eq!(version("nginx version: nginx/1.22.1\n"), "1.22.1");
        assert_eq!(
            version("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"),
            "2.6.12-1+deb12u4"
        );
        assert_eq!(
            version("/lib/python3.11/envoy  version: 9e5580/1.40.0/Clean/RELEASE"),
            "1.40.0"
        );
    }
}
