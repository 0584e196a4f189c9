//! A Debian package (deb(5)): an archive of `ar` with the format's version, the control files and the data.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tree::Tree;
use super::{Contents, output, unit};
use crate::Fallible;
use crate::race::install::repository;

/// What a first start has to do: a gateway on port 8080, before a backend on port 3000.
const CONFIGURATION: &str = "etc/evenkeel/gateway.yaml";

/// After an installation: the unit is known, and whoever wants it starts it.
const AFTER: &str = "#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
if [ \"$1\" = configure ] && [ -z \"$2\" ]; then
    echo 'evenkeel: edit /etc/evenkeel/gateway.yaml, then: systemctl enable --now evenkeel'
fi
";

/// Before a removal.
const BEFORE: &str = "#!/bin/sh
set -e
if [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now evenkeel || true
fi
";

pub(super) fn make(contents: &Contents, out: &Path) -> Fallible<PathBuf> {
    let folder = tempfile::tempdir()?;
    let part = |name: &str| folder.path().join(name);
    let data = data(contents)?;
    data.pack(&part("data.tar.gz"), true)?;
    let size = std::fs::metadata(&contents.program)?.len().div_ceil(1024);
    control(contents, size)?.pack(&part("control.tar.gz"), true)?;
    std::fs::write(part("debian-binary"), "2.0\n")?;
    let arch = architecture(contents.arch);
    let made = out.join(format!("evenkeel_{}_{arch}.deb", contents.version));
    if made.exists() {
        std::fs::remove_file(&made)?;
    }
    // D: without times and owners. The order of the members is the format's.
    let mut ar = Command::new("ar");
    ar.arg("rcD").arg(&made);
    ar.args(["debian-binary", "control.tar.gz", "data.tar.gz"].map(part));
    output(&mut ar)?;
    Ok(made)
}

fn data(contents: &Contents) -> Fallible<Tree> {
    let mut tree = Tree::new()?;
    tree.program("usr/bin/evenkeel", &contents.program)?;
    tree.file("lib/systemd/system/evenkeel.service", &unit()?)?;
    let read = |path: &str| std::fs::read(repository().join(path));
    tree.file(CONFIGURATION, &read("examples/quickstart.yaml")?)?;
    for file in ["README.md", "SECURITY.md", "CHANGELOG.md"] {
        tree.file(&format!("usr/share/doc/evenkeel/{file}"), &read(file)?)?;
    }
    tree.file("usr/share/doc/evenkeel/copyright", &read("LICENSE")?)?;
    tree.folder("usr/share/doc/evenkeel/docs", &repository().join("docs"))?;
    tree.folder("usr/share/doc/evenkeel/examples", &repository().join("examples"))?;
    Ok(tree)
}

fn control(contents: &Contents, size: u64) -> Fallible<Tree> {
    let mut tree = Tree::new()?;
    let text = format!(
        "Package: evenkeel\nVersion: {}\nArchitecture: {}\nMaintainer: The evenkeel maintainers <evenkeel@localhost>\n\
         Installed-Size: {size}\nDepends: libc6\nSection: net\nPriority: optional\nDescription: reverse proxy and API \
         gateway without the keep-alive race\n No request fails because of a connection that the backend was closing, and \
         none\n is sent twice that might have been applied. Configured by the Gateway API, in files.\n",
        contents.version,
        architecture(contents.arch)
    );
    tree.file("control", text.as_bytes())?;
    tree.file("conffiles", format!("/{CONFIGURATION}\n").as_bytes())?;
    tree.script("postinst", AFTER)?;
    tree.script("prerm", BEFORE)?;
    Ok(tree)
}

/// Debian's name for an architecture.
fn architecture(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
