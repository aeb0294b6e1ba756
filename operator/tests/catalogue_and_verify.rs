//! `switchboard catalogue` and `switchboard verify`, as a person calls them, against the embedded object store.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use archive::digest::{Part, Sha256};
use archive::element::{BackupElement, Occasion};
use archive::layout::{BackupId, Folder, Item};
use archive::manifest::{Element, Manifest, ObjectReference, SCHEMA_VERSION, Totals};
use model::ids::SystemKey;
use model::secret::Secret;
use model::system::Profile;
use object_client::{Addressing, ObjectClient, Options};
use object_server::{Credentials, ObjectServer, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_util::sync::{CancellationToken, DropGuard};

const CONFIGURATION: &str = "Configuration/IPOffice/HQ";

struct Store {
    folder: PathBuf,
    endpoint: String,
    client: ObjectClient,
    _shutdown: DropGuard,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Store {
    async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("switchboard-commands-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(folder.join("credentials")).unwrap();
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &authority).unwrap();
        std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
        std::fs::write(folder.join("credentials/accessKeyId"), "key\n").unwrap();
        std::fs::write(folder.join("credentials/secretAccessKey"), "a-secret\n").unwrap();
        let mut options = object_server::Options::new(folder.join("store"));
        options.buckets.push("bucket".into());
        options.credentials.push(Credentials { access_key_id: "key".into(), secret_access_key: "a-secret".into() });
        options.tls = Some(Tls::Pem { certificates: certificate.pem(), key: key.serialize_pem() });
        let server = ObjectServer::open(options).unwrap().bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let endpoint = format!("https://{}", server.address());
        let shutdown = CancellationToken::new();
        tokio::spawn(server.run(shutdown.clone()));
        let client = ObjectClient::new(Options {
            endpoint: endpoint.clone(),
            system_endpoint: None,
            region: "us-east-1".into(),
            bucket: "bucket".into(),
            prefix: "here/".into(),
            addressing: Addressing::Path,
            authority: Some(authority.pem()),
            encryption: None,
            object_lock: None,
            access_key_id: "key".into(),
            secret_access_key: Secret::new("a-secret"),
            session_token: None,
        })
        .unwrap();
        Self { folder, endpoint, client, _shutdown: shutdown.drop_guard() }
    }

    /// Runs the program with the options of this store and these.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.arg(arguments[0]).args(["--endpoint", &self.endpoint, "--bucket", "bucket", "--prefix", "here/"]);
        command.arg("--authority").arg(self.folder.join("authority.pem")).arg("--credentials").arg(self.folder.join("credentials"));
        command.args(&arguments[1..]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// A backup of a system with one element.
    async fn put(&self, customer: &str, uid: &str, name: Option<&str>, content: &[u8]) -> Folder {
        let system = SystemKey { customer: customer.parse().unwrap(), system: "hq".parse().unwrap() };
        let folder = Folder { system, id: BackupId::new("2026-11-22T02:13:05Z".parse().unwrap(), uid).unwrap() };
        let element: BackupElement = CONFIGURATION.parse().unwrap();
        let key = folder.key(&Item::Element(1, element.kind()));
        self.client.write(&key, content.to_vec()).await.unwrap();
        let part = Part { size: content.len() as u64, sha256: Sha256::of(content) };
        let elements = vec![Element { element, key, size: part.size, sha256: part.sha256, parts: vec![part] }];
        let reference = |uid: &str| ObjectReference { namespace: "north".into(), name: "name".into(), uid: uid.into() };
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            requires: vec![],
            written_by: String::new(),
            backup_id: folder.id.clone(),
            customer_id: folder.system.customer.clone(),
            system_id: folder.system.system.clone(),
            ip_office: reference("1b8e3c9a-0000-4000-8000-000000000001"),
            backup: reference(uid),
            occasion: Occasion::Manual,
            name: name.map(str::to_owned),
            started: "2026-11-22T02:13:09Z".parse().unwrap(),
            finished: "2026-11-22T02:14:30Z".parse().unwrap(),
            software_version: "11.1.3.2.0".parse().unwrap(),
            profile: Profile::Ip500V2,
            configuration_revision: 42,
            system_name: "HQ".into(),
            time_zone: "Europe/London".into(),
            servers: vec![],
            totals: Totals::of(&elements),
            elements,
        };
        self.client.write(&folder.key(&Item::Manifest), manifest.write().unwrap()).await.unwrap();
        folder
    }
}

fn archive(size: usize) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o600);
    builder.append_data(&mut header, "system.cfg", vec![7; size].as_slice()).unwrap();
    builder.into_inner().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard output and error of a run that ends with exit code 1.
fn failed(output: &Output) -> (String, String) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn change(store: &Path, from: &[u8], to: &[u8]) {
    let mut changed = 0;
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if std::fs::read(entry.path()).unwrap() == from {
                std::fs::write(entry.path(), to).unwrap();
                changed += 1;
            }
        }
    }
    assert_eq!(changed, 1, "the object lies in one file of the store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_listed_from_the_store_alone() {
    let store = Store::start().await;
    assert_eq!(out(&store.run(&["catalogue"]).await), "No backups found.\n");
    let named = store.put("acme1", "uid-1", Some("Before the move\u{202e}"), &archive(2000)).await;
    let other = store.put("acme2", "uid-2", None, &archive(10)).await;
    let broken = Folder { system: named.system.clone(), id: BackupId::new(named.id.created(), "uid-3").unwrap() };
    store.client.write(&broken.key(&Item::Manifest), b"{}".to_vec()).await.unwrap();
    store.client.write("backups/stranger", vec![]).await.unwrap();
    let text = out(&store.run(&["catalogue"]).await);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("CUSTOMER   SYSTEM   BACKUP"), "{text}");
    let line = |id: &BackupId| *lines.iter().find(|line| line.contains(id.as_str())).unwrap_or_else(|| panic!("{text}"));
    let columns: Vec<&str> = line(&other.id).split_whitespace().collect();
    let time = "2026-11-22T02:13:09Z";
    assert_eq!(columns, ["acme2", "hq", other.id.as_str(), "Complete", time, "1", "2.0", "KiB", "no", "HQ", "-"], "{text}");
    assert!(line(&named.id).contains("Before the move?"), "{text}");
    assert!(line(&broken.id).contains("Damaged"), "{text}");
    assert!(text.contains(&format!("{} of acme1/hq is damaged: the manifest cannot be read", broken.id)), "{text}");
    assert!(text.contains("Objects that are no backup's: 1") && text.contains("backups/stranger"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&out(&store.run(&["catalogue", "--customer", "acme2", "-o", "json"]).await)).unwrap();
    assert_eq!(json["backups"].as_array().unwrap().len(), 1);
    assert_eq!(json["backups"][0]["backupId"], other.id.as_str());
    assert_eq!(json["backups"][0]["elements"], serde_json::json!([CONFIGURATION]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_read_again_and_what_was_found_is_kept() {
    let store = Store::start().await;
    assert_eq!(out(&store.run(&["verify", "--all"]).await), "No backups to verify.\n");
    let (whole, content) = (store.put("acme1", "uid-1", None, &archive(3 << 20)).await, archive(1000));
    let changed = store.put("acme1", "uid-2", None, &content).await;
    let text = out(&store.run(&["verify", whole.id.as_str()]).await);
    assert_eq!(text, format!("{} of acme1/hq: verified, 3.0 MiB read\n", whole.id));
    assert!(out(&store.run(&["catalogue"]).await).contains("no"), "the other is not verified");
    let mut other = content.clone();
    other[700] ^= 1;
    change(&store.folder.join("store"), &content, &other);
    let (text, error) = failed(&store.run(&["verify", "--unverified"]).await);
    assert_eq!(text, format!("{} of acme1/hq: damaged: {CONFIGURATION}: part 1 of 1 differs from what was backed up\n", changed.id));
    assert!(error.contains("1 of 1 backups are damaged"), "{error}");
    let text = out(&store.run(&["catalogue"]).await);
    assert!(text.contains(&format!("{} of acme1/hq is damaged: {CONFIGURATION}: part 1 of 1 differs", changed.id)), "{text}");
    // What is known stays known: nothing is left that was never read.
    assert_eq!(out(&store.run(&["verify", "--unverified"]).await), "No backups to verify.\n");
    let (text, _) = failed(&store.run(&["verify", "--all"]).await);
    assert_eq!(text.lines().count(), 2, "{text}");
    // A disk that is well again is found well again.
    change(&store.folder.join("store"), &other, &content);
    out(&store.run(&["verify", "--all"]).await);
    assert!(!out(&store.run(&["catalogue"]).await).contains("Damaged"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_an_error_and_no_verdict() {
    let store = Store::start().await;
    let backup = store.put("acme1", "uid-1", None, &archive(1000)).await;
    let key = backup.key(&Item::Element(1, archive::element::ElementKind::Configuration));
    std::fs::write(store.folder.join("credentials/secretAccessKey"), "another").unwrap();
    let (_, error) = failed(&store.run(&["verify", "--all"]).await);
    assert!(error.contains("does not allow to list backups/") && !error.contains("another"), "{error}");
    std::fs::write(store.folder.join("credentials/secretAccessKey"), "a-secret").unwrap();
    let (_, error) = failed(&store.run(&["verify", "20261122t021305z-zcerr8a69pru"]).await);
    assert!(error.contains("there is no backup 20261122t021305z-zcerr8a69pru"), "{error}");
    store.client.delete(&[key]).await.unwrap();
    let (text, _) = failed(&store.run(&["verify", "--all"]).await);
    assert!(text.contains(&format!("damaged: element {CONFIGURATION} is missing in the store")), "{text}");
    assert_eq!(store.client.stored(&backup.key(&Item::Verification)).await, Ok(None), "a listing is no reading");
}
