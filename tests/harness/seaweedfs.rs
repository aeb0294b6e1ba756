//! SeaweedFS, a store of other people's, on an address of its own in 127.0.0.0/8.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::folder::Folder;
use crate::store::Bucket;
use crate::wait;

/// Who may do everything.
const USERS: &str = r#"{"identities": [{"name": "all", "credentials": [{"accessKey": "all", "secretKey": "secret-of-all"}],
    "actions": ["Admin", "Read", "Write", "List"]}]}"#;

/// A running SeaweedFS with a bucket. Ends with this value.
#[derive(Debug)]
pub struct SeaweedFs {
    child: Child,
    _folder: Folder,
    /// Its bucket.
    pub bucket: Bucket,
}

impl SeaweedFs {
    /// Starts it, and makes the bucket.
    ///
    /// # Panics
    /// It is not installed, or does not start.
    pub fn start() -> Self {
        let program = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/bin/weed"));
        assert!(program.exists(), "{} is missing: run tools/install.sh", program.display());
        let folder = Folder::new();
        let users = folder.path().join("users.json");
        std::fs::write(&users, USERS).unwrap();
        // An address of its own, so that its ports cannot be taken in between.
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let [_, _, middle, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 200 + NEXT.fetch_add(1, Ordering::Relaxed) % 50, middle, low.clamp(2, 254));
        let listeners: Vec<TcpListener> = (0..8).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let mut command = Command::new(program);
        command.arg("-logtostderr").arg("server").arg(format!("-dir={}", folder.path().display()));
        command.arg(format!("-ip={address}")).arg(format!("-ip.bind={address}"));
        // It would tell its makers about this machine.
        command.arg("-master.telemetry=false");
        command.args(["-filer", "-s3", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args(["-volume.max=8", "-master.volumeSizeLimitMB=128"]);
        command.arg(format!("-filer.localSocket={}", folder.path().join("filer.sock").display()));
        let names = ["master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc"];
        for (name, port) in names.iter().zip(&ports) {
            let (program, grpc) = name.split_once('.').map_or((*name, ""), |(program, _)| (program, ".grpc"));
            command.arg(format!("-{program}.port{grpc}={port}"));
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = command.arg(format!("-s3.config={}", users.display())).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let bucket = Bucket {
            endpoint: format!("http://{address}:{}", ports[6]),
            name: "backups".to_owned(),
            key: ("all".to_owned(), "secret-of-all".to_owned()),
            authority: None,
        };
        let started = Self { child, _folder: folder, bucket };
        // It answers before it can store: an object that was written says that it can.
        wait::until_true("SeaweedFS", Duration::from_secs(60), || {
            started.bucket.does("PUT", "") && started.bucket.does("PUT", "/ready") && started.bucket.does("DELETE", "/ready")
        });
        started
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
