use std::process::Command;

use super::*;

/// `true` stands in for the program: small, and linked with libraries.
fn made() -> Fallible<(tempfile::TempDir, [PathBuf; 3])> {
    let out = tempfile::tempdir()?;
    let contents = Contents {
        program: PathBuf::from("/bin/true"),
        version: "1.2.3",
        arch: "x86_64",
    };
    let made = [
        contents.tarball(out.path())?,
        deb::make(&contents, out.path())?,
        oci::make(&contents, out.path())?,
    ];
    Ok((out, made))
}

fn listed(archive: &Path) -> Fallible<String> {
    output(Command::new("tar").arg("-tvf").arg(archive))
}

#[test]
fn a_package_has_the_program_and_what_goes_with_it() -> Fallible<()> {
    let (out, [tarball, deb, _]) = made()?;
    let files = listed(&tarball)?;
    for file in [
        "evenkeel",
        "README.md",
        "LICENSE",
        "examples/quickstart.yaml",
        "docs/admin.md",
        "evenkeel.service",
    ] {
        assert!(files.contains(&format!("/{file}\n")), "no {file} in\n{files}");
    }
    assert!(
        files
            .lines()
            .any(|line| line.starts_with("-rwxr-xr-x 0/0") && line.ends_with("/evenkeel")),
        "{files}"
    );

    output(Command::new("ar").current_dir(out.path()).arg("x").arg(&deb))?;
    let data = listed(&out.path().join("data.tar.gz"))?;
    for file in [
        "usr/bin/evenkeel",
        "etc/evenkeel/gateway.yaml",
        "lib/systemd/system/evenkeel.service",
    ] {
        assert!(data.contains(&format!("./{file}\n")), "no {file} in\n{data}");
    }
    let mut tar = Command::new("tar");
    tar.current_dir(out.path())
        .args(["-xOf", "control.tar.gz", "./control"]);
    let control = output(&mut tar)?;
    assert!(
        control.contains("Package: evenkeel\nVersion: 1.2.3\nArchitecture: amd64\n"),
        "{control}"
    );
    if let Ok(info) = output(Command::new("dpkg-deb").arg("--info").arg(&deb)) {
        assert!(info.contains("Description: reverse proxy"), "{info}");
    }
    Ok(())
}

#[test]
fn an_image_is_a_layout_whose_digests_hold() -> Fallible<()> {
    let (out, [_, _, image]) = made()?;
    output(Command::new("tar").current_dir(out.path()).arg("-xf").arg(&image))?;
    let blob = |descriptor: &serde_json::Value| -> Fallible<Vec<u8>> {
        let digest = descriptor["digest"].as_str().ok_or("no digest")?;
        let bytes = std::fs::read(out.path().join("blobs").join(digest.replace(':', "/")))?;
        assert_eq!(
            (oci::digest(&bytes)?.as_str(), Some(bytes.len() as u64)),
            (digest, descriptor["size"].as_u64())
        );
        Ok(bytes)
    };
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(out.path().join("index.json"))?)?;
    let manifest: serde_json::Value = serde_json::from_slice(&blob(&index["manifests"][0])?)?;
    let config: serde_json::Value = serde_json::from_slice(&blob(&manifest["config"])?)?;
    assert_eq!(config["config"]["User"], "65532:65532", "not root");
    let layer = out.path().join("layer.tar.gz");
    std::fs::write(&layer, blob(&manifest["layers"][0])?)?;
    let files = listed(&layer)?;
    assert!(
        files.contains("./usr/bin/evenkeel\n") && files.contains("libc.so"),
        "{files}"
    );
    let plain = Command::new("gzip").arg("-dc").arg(&layer).output()?;
    assert_eq!(config["rootfs"]["diff_ids"][0], oci::digest(&plain.stdout)?);
    Ok(())
}

#[test]
fn the_same_program_gives_the_same_bytes() -> Fallible<()> {
    let ((_one, first), (_two, second)) = (made()?, made()?);
    for (one, two) in first.iter().zip(&second) {
        assert!(std::fs::read(one)? == std::fs::read(two)?, "{}", one.display());
    }
    Ok(())
}

#[test]
fn libraries_are_found_by_where_they_are_and_the_kernels_own_is_none() {
    let listed = "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
    let found: Vec<String> = oci::parse_ldd(listed)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        found,
        ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
    );
}
