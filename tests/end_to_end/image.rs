//! The image that `tools/image.sh` makes without a container engine: the same bytes every time, and a program that works with nothing else around it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::folder::Folder;
use harness::switchboard::program;
use serde_json::Value;

fn make(output: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/image.sh");
    let mut command = Command::new(script);
    command
        .args(["archive", "--tag=registry.example.com/tools/switchboard:test"])
        .arg("--program")
        .arg(program())
        .arg("--output")
        .arg(output);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn untar(archive: &Path, into: &Path) {
    std::fs::create_dir_all(into).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into).status().unwrap().success());
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Runs the program of the image with the image's folder as the whole file system; as somebody who may not do that, at least with the image's
/// own libraries alone.
fn run(root: &Path, arguments: &[&str]) -> Output {
    if rustix::process::geteuid().is_root() {
        return Command::new("chroot")
            .arg("--userspec=65532:65532")
            .arg(root)
            .arg("/usr/bin/switchboard")
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
    }
    let files =
        |folder: &str| std::fs::read_dir(root.join(folder)).into_iter().flatten().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let loader =
        ["lib64", "lib"].iter().flat_map(|folder| files(folder)).find(|path| path.to_string_lossy().contains("/ld-linux")).unwrap();
    let libraries: Vec<PathBuf> = files("lib").into_iter().filter(|path| path.is_dir()).collect();
    Command::new(loader)
        .arg("--library-path")
        .arg(&libraries[0])
        .arg(root.join("usr/bin/switchboard"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn the_image_is_the_same_every_time_follows_the_layout_and_its_program_runs_with_nothing_else() {
    let scratch = Folder::new();
    let (one, other) = (scratch.path().join("one.tar"), scratch.path().join("other.tar"));
    make(&one);
    make(&other);
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&other).unwrap(), "two images of one program differ");

    // OCI layout and docker archive name the same content.
    let image = scratch.path().join("image");
    untar(&one, &image);
    let blob = |digest: &str| image.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let index = json(&image.join("index.json"));
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "registry.example.com/tools/switchboard:test");
    let manifest = json(&blob(index["manifests"][0]["digest"].as_str().unwrap()));
    let (config, layer) = (manifest["config"]["digest"].as_str().unwrap(), manifest["layers"][0]["digest"].as_str().unwrap());
    let docker = json(&image.join("manifest.json"));
    assert_eq!(docker[0]["RepoTags"][0], "registry.example.com/tools/switchboard:test");
    assert_eq!(image.join(docker[0]["Config"].as_str().unwrap()), blob(config));
    assert_eq!(image.join(docker[0]["Layers"][0].as_str().unwrap()), blob(layer));
    let digest = Command::new("sha256sum").arg(blob(layer)).output().unwrap();
    assert!(String::from_utf8_lossy(&digest.stdout).starts_with(layer.trim_start_matches("sha256:")));
    let config = json(&blob(config));
    assert_eq!((&config["config"]["User"], &config["config"]["Entrypoint"][0]), (&"65532:65532".into(), &"/usr/bin/switchboard".into()));
    assert_eq!(config["rootfs"]["diff_ids"][0], layer);

    let root = scratch.path().join("root");
    untar(&blob(layer), &root);
    assert!(!root.join("bin/sh").exists() && !root.join("usr/bin/sh").exists(), "there is no shell");
    let version = run(&root, &["--version"]);
    assert_eq!(String::from_utf8_lossy(&version.stdout), concat!("switchboard ", env!("CARGO_PKG_VERSION"), "\n"), "{version:?}");
    for command in ["operator", "simulate", "store", "support-bundle"] {
        let help = run(&root, &[command, "--help"]);
        assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage: switchboard"), "{help:?}");
    }
    // Authorities that everybody trusts are found: it gets as far as dialling.
    std::fs::create_dir_all(root.join("tmp/credentials")).unwrap();
    for name in ["accessKeyId", "secretAccessKey"] {
        std::fs::write(root.join("tmp/credentials").join(name), "none").unwrap();
    }
    let credentials = if rustix::process::geteuid().is_root() { PathBuf::from("/tmp/credentials") } else { root.join("tmp/credentials") };
    let credentials = format!("--credentials={}", credentials.display());
    let asked = run(&root, &["catalogue", "--endpoint=https://127.0.0.1:1", "--bucket=none", &credentials]);
    let error = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(error.to_lowercase().contains("connect"), "{error}");
}
