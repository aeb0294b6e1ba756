//! SeaweedFS on an address of its own in 127.0.0.0/8, without TLS.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::curl;
use crate::store::{BUCKET, Folder, Store};

/// Longest time to start.
const BOUND: Duration = Duration::from_secs(60);
/// Access key that may only read and list, and its secret.
pub const READER: (&str, &str) = ("reader", "secret-of-reader");
/// Who may do everything, and who may read.
const USERS: &str = r#"{"identities": [
    {"name": "all", "credentials": [{"accessKey": "all", "secretKey": "secret-of-all"}], "actions": ["Admin", "Read", "Write", "List"]},
    {"name": "reader", "credentials": [{"accessKey": "reader", "secretKey": "secret-of-reader"}], "actions": ["Read:backups-of-north", "List:backups-of-north"]}
]}"#;

struct Running {
    child: Child,
    _folder: Folder,
}
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let program = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/bin/weed"));
    assert!(program.exists(), "{} is missing: run tools/install.sh", program.display());
    program
}

/// Starts it, with the bucket made.
pub async fn start() -> Store {
    let folder = Folder::new();
    let (users, log) = (folder.path().join("users.json"), folder.path().join("log"));
    std::fs::write(&users, USERS).unwrap();
    // An address of the process's own, so that ports cannot be taken in between.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high.max(1), middle, low.clamp(2, 254));
    let listeners: Vec<TcpListener> = (0..8).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    drop(listeners);
    let mut command = Command::new(program());
    command.arg("-logtostderr").arg("server").arg(format!("-dir={}", folder.path().display()));
    command.arg(format!("-ip={address}")).arg(format!("-ip.bind={address}"));
    // It would tell its makers about this machine.
    command.arg("-master.telemetry=false");
    command.args(["-filer", "-s3", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
    command.args(["-volume.max=8", "-master.volumeSizeLimitMB=128"]);
    command.arg(format!("-filer.localSocket={}", folder.path().join("filer.sock").display()));
    let names =
        ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"];
    for (name, port) in names.iter().zip(&ports) {
        command.arg(format!("-{name}={port}"));
    }
    command.arg(format!("-s3.config={}", users.display())).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    // However the test ends, it ends too.
    let child = command.spawn().unwrap();
    let guard = Running { child, _folder: folder };
    let endpoint = format!("http://{address}:{}", ports[6]);
    let began = Instant::now();
    // It answers before it can store; a bucket that was made and an object that was written say that it can.
    while !(curl::signed("PUT", &format!("{endpoint}/{BUCKET}"), "all", "secret-of-all").await
        && curl::signed("PUT", &format!("{endpoint}/{BUCKET}/ready"), "all", "secret-of-all").await)
    {
        assert!(began.elapsed() < BOUND, "SeaweedFS did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Store {
        options: Store::options(endpoint, "all", "secret-of-all"),
        authority: None,
        lists_digests: false,
        tells_checksums: true,
        _guard: Box::new(guard),
    }
}
