//! `cargo xtask package`: what is given to others. A tarball, a Debian package, and a container image as an
//! OCI layout, each with the program of `cargo xtask dist`.
//!
//! ```text
//!   target/package/evenkeel-VERSION-ARCH-linux.tar.gz      the program, README, licence, examples
//!                  evenkeel_VERSION_ARCH.deb               the same, with a unit of systemd and /etc/evenkeel
//!                  evenkeel-VERSION-ARCH-oci.tar           an OCI layout: one layer, no shell, not root
//! ```
//! The same program gives the same bytes: times, owners and order are fixed.

mod deb;
mod oci;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::race::install::repository;
use crate::{Fallible, Verdict, dist};
use tree::Tree;

/// `cargo xtask package`.
#[derive(Args, Debug)]
pub(crate) struct PackageArgs {
    /// A program to pack instead of building one as it is shipped
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Where to
    #[arg(long, value_name = "DIR", default_value = "target/package")]
    out: PathBuf,
}

/// What is packed.
struct Contents {
    program: PathBuf,
    version: &'static str,
    /// As Rust calls the architecture: `x86_64`, `aarch64`.
    arch: &'static str,
}

pub(crate) fn package(args: &PackageArgs) -> Fallible<Verdict> {
    let program = match &args.program {
        Some(program) => std::path::absolute(program)?,
        None => dist::program()?,
    };
    let contents = Contents {
        program,
        version: env!("CARGO_PKG_VERSION"),
        arch: std::env::consts::ARCH,
    };
    let out = repository().join(&args.out);
    std::fs::create_dir_all(&out)?;
    for made in [
        contents.tarball(&out)?,
        deb::make(&contents, &out)?,
        oci::make(&contents, &out)?,
    ] {
        let size = std::fs::metadata(&made)?.len() as f64 / f64::from(1 << 20);
        println!("{:6.2} MiB  {}", size, made.display());
    }
    Ok(Verdict::Passed)
}

impl Contents {
    fn tarball(&self, out: &Path) -> Fallible<PathBuf> {
        let name = format!("evenkeel-{}-{}-linux", self.version, self.arch);
        let mut tree = Tree::new()?;
        tree.program(&format!("{name}/evenkeel"), &self.program)?;
        for file in ["README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"] {
            tree.file(
                &format!("{name}/{file}"),
                &std::fs::read(repository().join(file))?,
            )?;
        }
        tree.folder(&format!("{name}/examples"), &repository().join("examples"))?;
        tree.folder(&format!("{name}/docs"), &repository().join("docs"))?;
        tree.file(&format!("{name}/evenkeel.service"), &unit()?)?;
        let made = out.join(format!("{name}.tar.gz"));
        tree.pack(&made, true)?;
        Ok(made)
    }
}

/// The unit of systemd.
fn unit() -> Fallible<Vec<u8>> {
    Ok(std::fs::read(repository().join("dev/package/evenkeel.service"))?)
}

/// Runs a program that has to succeed, and gives what it printed.
fn output(command: &mut Command) -> Fallible<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|why| format!("{name}: {why}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}\n{said}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests;
