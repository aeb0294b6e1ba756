#!/usr/bin/env python3
"""Makes a container image of the program without a container engine.

    image.py archive [--program FILE] [--tag NAME:TAG] [--output FILE]    an image as a file: OCI layout and docker archive in one tar
    image.py root    [--program FILE] --output FOLDER                     what is in the image, as a folder (the Containerfile takes it)

In the image: the program, the shared libraries it is linked to with their loader, the authorities that everybody trusts, time zones, and
what names the user it runs as. Nothing else: no shell, no package manager. The same program gives the same bytes, on any day.
"""
import argparse
import datetime
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
USER = 65532
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
TEXTS = {
    "etc/passwd": f"root:x:0:0:root:/:/sbin/nologin\nswitchboard:x:{USER}:{USER}:switchboard:/var/lib/switchboard:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nswitchboard:x:{USER}:\n",
    # Without it the C library does not look at /etc/hosts before it asks a name server.
    "etc/nsswitch.conf": "hosts: files dns\n",
}
# Owner and mode of the folders that are written to.
FOLDERS = {"tmp": (0, 0o1777), "var/lib/switchboard": (USER, 0o755)}
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
ZONES = "usr/share/zoneinfo"
# Zones under these names are the same ones again, with leap seconds or for other programs.
ZONES_LEFT_OUT = ("posix", "right", "posixrules", "localtime", "leapseconds", "leap-seconds.list", "SECURITY")


def fail(text):
    sys.exit(f"image.py: {text}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def libraries(program):
    """Paths of the shared libraries and of their loader, as the program names them."""
    listed = run("ldd", str(program))
    missing = re.findall(r"(\S+) => not found", listed)
    if missing:
        fail(f"{program} needs {', '.join(missing)}, which this machine lacks")
    return [] if "statically linked" in listed else re.findall(r"(/\S+) \(0x", listed)


def copy(source, target, mode):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def make_root(program, target):
    """What is in the image, below a folder."""
    if target.exists() and any(target.iterdir()):
        fail(f"{target} is not empty; name another folder")
    copy(program, target / "usr/bin/switchboard", 0o755)
    run("strip", "--strip-all", str(target / "usr/bin/switchboard"))
    for library in libraries(program):
        copy(library, target / library.lstrip("/"), 0o755)
    if not pathlib.Path("/", AUTHORITIES).exists():
        fail(f"/{AUTHORITIES} is missing; on Debian: apt-get install ca-certificates")
    copy(pathlib.Path("/", AUTHORITIES), target / AUTHORITIES, 0o644)
    copy_zones(target)
    for name, text in TEXTS.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    for name in FOLDERS:
        (target / name).mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(target / name, FOLDERS[name][0], FOLDERS[name][0])
        (target / name).chmod(FOLDERS[name][1])


def copy_zones(target):
    source = pathlib.Path("/", ZONES)
    if not (source / "Europe/London").exists():
        fail(f"/{ZONES} is missing; on Debian: apt-get install tzdata")
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if name.parts[0] not in ZONES_LEFT_OUT and path.is_file() and path.resolve().is_relative_to(source):
            copy(path, target / ZONES / name, 0o644)


def layer(root, epoch):
    """The folder as a tar whose bytes depend on nothing but its content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            entry = tar.gettarinfo(str(path), arcname=name)
            # A second name of one file would be a link.
            entry.type = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE
            entry.size = 0 if path.is_dir() else path.stat().st_size
            entry.linkname, entry.mtime, entry.uname, entry.gname = "", epoch, "", ""
            entry.uid = entry.gid = FOLDERS[name][0] if name in FOLDERS else 0
            entry.mode = FOLDERS[name][1] if name in FOLDERS else 0o755 if path.is_dir() else path.stat().st_mode & 0o777
            if path.is_dir():
                tar.addfile(entry)
            else:
                with path.open("rb") as file:
                    tar.addfile(entry, file)
    return buffer.getvalue()


def version():
    found = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    return found[1] if found else fail("Cargo.toml has no version")


def labels():
    """As the OCI image specification names them."""
    git = shutil.which("git")
    # Of a source without its history, as an archive of it is, nothing can be said.
    revision = git and subprocess.run([git, "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    given = {
        "title": "switchboard",
        "description": "The operator for telephone systems",
        "version": version(),
        "licenses": "Apache-2.0",
        "revision": revision,
    }
    return {f"org.opencontainers.image.{name}": value for name, value in given.items() if value}


def time_of(epoch):
    return datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def configuration(layer_digest, epoch):
    machine = platform.machine()
    return {
        "architecture": ARCHITECTURES.get(machine) or fail(f"no image for {machine}; there is one for {', '.join(ARCHITECTURES)}"),
        "os": "linux",
        "created": time_of(epoch),
        "config": {
            "User": f"{USER}:{USER}",
            "Env": ["PATH=/usr/bin", f"SSL_CERT_FILE=/{AUTHORITIES}"],
            "Entrypoint": ["/usr/bin/switchboard"],
            "WorkingDir": "/var/lib/switchboard",
            "Labels": labels(),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": time_of(epoch), "created_by": "tools/image.py"}],
    }


class Archive:
    """Blobs by digest, and the files that name them."""

    def __init__(self, path, epoch):
        self.tar, self.epoch = tarfile.open(path, mode="w", format=tarfile.USTAR_FORMAT), epoch

    def add(self, name, content):
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = len(content), self.epoch, 0o644
        self.tar.addfile(entry, io.BytesIO(content))

    def blob(self, content, media):
        digest = hashlib.sha256(content).hexdigest()
        self.add(f"blobs/sha256/{digest}", content)
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(content)}


def compact(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def in_full(tag):
    """The name as a kubelet asks for it: one without a registry is Docker's own."""
    first = tag.partition("/")[0]
    if "/" in tag and ("." in first or ":" in first or first == "localhost"):
        return tag
    return "docker.io/" + (tag if "/" in tag else f"library/{tag}")


def make_archive(program, tag, output):
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder, "root")
        make_root(program, root)
        content = layer(root, epoch)
    output.parent.mkdir(parents=True, exist_ok=True)
    media = "application/vnd.oci.image"
    archive = Archive(output, epoch)
    stored = archive.blob(content, f"{media}.layer.v1.tar")
    config = archive.blob(compact(configuration(stored["digest"], epoch)), f"{media}.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": f"{media}.manifest.v1+json", "config": config, "layers": [stored]}
    described = archive.blob(compact(manifest), f"{media}.manifest.v1+json")
    described["annotations"] = {"io.containerd.image.name": in_full(tag), "org.opencontainers.image.ref.name": tag.rsplit(":", 1)[-1]}
    archive.add("oci-layout", compact({"imageLayoutVersion": "1.0.0"}))
    archive.add("index.json", compact({"schemaVersion": 2, "mediaType": f"{media}.index.v1+json", "manifests": [described]}))
    path = {part: f"blobs/sha256/{blob['digest'][7:]}" for part, blob in (("config", config), ("layer", stored))}
    archive.add("manifest.json", compact([{"Config": path["config"], "RepoTags": [in_full(tag)], "Layers": [path["layer"]]}]))
    archive.tar.close()
    print(f"{output}: {tag}, {output.stat().st_size / 1e6:.1f} MB, {described['digest']}")


def main():
    parser = argparse.ArgumentParser(description="makes a container image of the program without a container engine")
    parser.add_argument("what", choices=["archive", "root"])
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--program", type=pathlib.Path, default=target / "debug/switchboard")
    parser.add_argument("--tag", help="name of the image, with a tag; docker.io/library/switchboard:VERSION where absent")
    parser.add_argument("--output", type=pathlib.Path)
    given = parser.parse_args()
    if not given.program.exists():
        fail(f"there is no {given.program}; build it first: cargo build -p operator")
    if given.what == "root":
        make_root(given.program, given.output or fail("root needs --output FOLDER"))
    else:
        make_archive(given.program, given.tag or f"docker.io/library/switchboard:{version()}", given.output or target / "switchboard-image.tar")


if __name__ == "__main__":
    main()
