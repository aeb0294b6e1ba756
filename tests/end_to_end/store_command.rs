//! `switchboard store`: the object store as a program of its own, seen by curl.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::folder::Folder;
use harness::store::Bucket;
use harness::switchboard::{Ports, program};
use harness::{metrics, processes, wait};
use rustix::process::Signal;

/// A running store. Ends with this value.
struct Store {
    child: Child,
    ports: Ports,
    folder: Folder,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a new certificate with its key, which is its own authority.
fn certify(folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
}

fn command(folder: &Path, ports: Ports) -> Command {
    let mut command = Command::new(program());
    command.args(["store", "--listen=127.0.0.1", "--bucket=backups", "--bucket=others"]).arg(format!("--port={}", ports.store));
    command.arg(format!("--probe-port={}", ports.metrics)).arg("--data").arg(folder.join("data"));
    command.arg("--credentials").arg(folder.join("credentials")).arg("--certificate").arg(folder.join("certificate"));
    command
}

impl Store {
    fn prepare() -> (Folder, Ports) {
        let folder = Folder::new();
        certify(&folder.path().join("certificate"));
        let credentials = folder.path().join("credentials");
        std::fs::create_dir_all(&credentials).unwrap();
        std::fs::write(credentials.join("accessKeyId"), "key\n").unwrap();
        std::fs::write(credentials.join("secretAccessKey"), "a-secret").unwrap();
        (folder, Ports::free())
    }

    fn start(folder: Folder, ports: Ports) -> Self {
        let child = command(folder.path(), ports).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let store = Self { child, ports, folder };
        wait::until_true("the store to be ready", wait::SOON, || {
            metrics::answer(ports.metrics, "GET", "/readyz", "").is_some_and(|(status, _)| status == 200)
        });
        store
    }

    fn bucket(&self, name: &str) -> Bucket {
        Bucket {
            endpoint: format!("https://127.0.0.1:{}", self.ports.store),
            name: name.to_owned(),
            key: ("key".to_owned(), "a-secret".to_owned()),
            authority: Some(self.folder.path().join("certificate/tls.crt")),
        }
    }
}

#[test]
fn a_store_serves_its_buckets_takes_a_new_certificate_and_keeps_all_across_a_clean_stop() {
    let (folder, ports) = Store::prepare();
    let mut store = Store::start(folder, ports);
    let file = store.folder.path().join("file");
    std::fs::write(&file, "what is stored").unwrap();
    store.bucket("backups").put("a/b", &file);
    assert_eq!(store.bucket("backups").list(), [("a/b".to_owned(), 14)]);
    assert_eq!(store.bucket("others").list(), []);
    let stranger = Bucket { key: ("key".to_owned(), "another".to_owned()), ..store.bucket("backups") };
    assert!(!stranger.does("GET", "/a/b"), "a wrong key opens nothing");
    assert_eq!(metrics::answer(ports.metrics, "GET", "/healthz", "").unwrap().0, 200);

    // As a mounted Secret is replaced: whoever trusts only the new certificate gets in without a restart.
    certify(&store.folder.path().join("certificate"));
    wait::until_true("the new certificate", wait::SOON, || store.bucket("backups").does("GET", "/a/b"));

    processes::signal(store.child.id(), Signal::TERM);
    let status = wait::until("the end of the store", wait::SOON, || store.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    store.child = command(store.folder.path(), ports).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait::until_true("what was stored", wait::SOON, || store.bucket("backups").does("GET", "/a/b"));
}

#[test]
fn what_a_store_lacks_is_said_with_what_to_do() {
    let (folder, ports) = Store::prepare();
    let refused = |folder: &Path| {
        let output = command(folder, ports).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let secret = folder.path().join("credentials/secretAccessKey");
    std::fs::write(&secret, "\n").unwrap();
    let error = refused(folder.path());
    assert!(error.contains("secretAccessKey is missing or empty; write the credentials into it"), "{error}");
    std::fs::write(&secret, "a-secret").unwrap();
    std::fs::remove_file(folder.path().join("certificate/tls.key")).unwrap();
    let error = refused(folder.path());
    assert!(error.contains("tls.key") && error.contains("put certificate and key into"), "{error}");
    certify(&folder.path().join("certificate"));
    let taken = std::net::TcpListener::bind(("127.0.0.1", ports.metrics)).unwrap();
    let error = refused(folder.path());
    assert!(error.contains("choose another port with --probe-port"), "{error}");
    drop(taken);
}
