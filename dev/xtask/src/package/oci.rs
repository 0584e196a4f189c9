//! A container image as an OCI layout (opencontainers/image-spec, image-layout.md), in one tar: `skopeo copy
//! oci-archive:FILE docker://...`, `podman load -i FILE`.
//!
//! One layer: the program, the shared libraries that it needs, and a user who is not root. No shell, no
//! package manager.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::tree::Tree;
use super::{Contents, output};
use crate::Fallible;

/// The user that the program runs as; `nonroot` of distroless images has the same number.
const USER: u32 = 65532;
/// As in [`Tree::pack`].
const CREATED: &str = "2026-01-01T00:00:00Z";

pub(super) fn make(contents: &Contents, out: &Path) -> Fallible<PathBuf> {
    let folder = tempfile::tempdir()?;
    let (plain, zipped) = (
        folder.path().join("layer.tar"),
        folder.path().join("layer.tar.gz"),
    );
    let layer = layer(contents)?;
    layer.pack(&plain, false)?;
    layer.pack(&zipped, true)?;
    let mut layout = Tree::new()?;
    let layer = blob(
        &mut layout,
        &std::fs::read(zipped)?,
        "application/vnd.oci.image.layer.v1.tar+gzip",
    )?;
    let config = config(contents, &digest(&std::fs::read(plain)?)?);
    let config = blob(
        &mut layout,
        &config.to_string().into_bytes(),
        "application/vnd.oci.image.config.v1+json",
    )?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(&mut layout, &manifest.to_string().into_bytes(), MANIFEST)?;
    manifest["platform"] = json!({ "architecture": architecture(contents.arch), "os": "linux" });
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": contents.version });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    layout.file("index.json", index.to_string().as_bytes())?;
    layout.file(
        "oci-layout",
        json!({ "imageLayoutVersion": "1.0.0" }).to_string().as_bytes(),
    )?;
    let made = out.join(format!("evenkeel-{}-{}-oci.tar", contents.version, contents.arch));
    layout.pack(&made, false)?;
    Ok(made)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn layer(contents: &Contents) -> Fallible<Tree> {
    let mut tree = Tree::new()?;
    tree.program("usr/bin/evenkeel", &contents.program)?;
    for library in libraries(&contents.program)? {
        let inside = library.to_str().ok_or("a library whose name is no UTF-8")?;
        tree.program(inside.trim_start_matches('/'), &library)?;
    }
    let passwd = format!("root:x:0:0::/:/sbin/nologin\nevenkeel:x:{USER}:{USER}::/:/sbin/nologin\n");
    tree.file("etc/passwd", passwd.as_bytes())?;
    tree.file("etc/group", format!("root:x:0:\nevenkeel:x:{USER}:\n").as_bytes())?;
    tree.file(
        "etc/evenkeel/README",
        b"Mount a folder with Gateway API resources here.\n",
    )?;
    Ok(tree)
}

/// The shared libraries of a program, the loader among them, by the paths at which they are looked for.
fn libraries(program: &Path) -> Fallible<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(program))?;
    Ok(parse_ldd(&listed))
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)`, `/lib64/ld-linux-x86-64.so.2 (0x...)`.
pub(super) fn parse_ldd(listed: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let found = line.split_once("=>").map_or(line, |(_, found)| found);
        let path = found.split_whitespace().next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    listed.lines().filter_map(path).collect()
}

fn config(contents: &Contents, layer: &str) -> Value {
    json!({
        "created": CREATED,
        "architecture": architecture(contents.arch),
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": ["/usr/bin/evenkeel"],
            "Cmd": ["run", "-c", "/etc/evenkeel", "--admin", ":9901"],
            "ExposedPorts": { "8080/tcp": {}, "9901/tcp": {} },
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "evenkeel",
                "org.opencontainers.image.version": contents.version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created": CREATED, "created_by": "cargo xtask package" }],
    })
}

/// Puts a blob into the layout; gives its descriptor.
fn blob(layout: &mut Tree, bytes: &[u8], media_type: &str) -> Fallible<Value> {
    let digest = digest(bytes)?;
    let (_, hex) = digest.split_once(':').ok_or("a digest without its algorithm")?;
    layout.file(&format!("blobs/sha256/{hex}"), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
}

/// `sha256:` and the sum, by coreutils.
pub(super) fn digest(bytes: &[u8]) -> Fallible<String> {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    let printed = output(Command::new("sha256sum").arg(file.path()))?;
    let sum = printed
        .split_whitespace()
        .next()
        .ok_or("sha256sum printed nothing")?;
    Ok(format!("sha256:{sum}"))
}

/// Go's name for an architecture, which the specification asks for.
fn architecture(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
