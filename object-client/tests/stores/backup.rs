//! A backup as a system makes one: packed archives, put in parts, the manifest last.

use std::time::Duration;

use archive::digest::PartHasher;
use archive::element::{BackupElement, Occasion};
use archive::layout::{BackupId, Folder, Item};
use archive::manifest::{Element, Manifest, ObjectReference, SCHEMA_VERSION, Totals};
use model::ids::SystemKey;
use model::system::Profile;
use object_client::ObjectClient;
use tar::{Builder, EntryType, Header};

use crate::curl;
use crate::store::Store;

/// Bytes of a part: the least that stores take.
pub const PART: u64 = 5 << 20;

/// The system whose backups these are.
pub fn system() -> SystemKey {
    SystemKey { customer: "acme1".parse().unwrap(), system: "hq".parse().unwrap() }
}

/// The folder of the backup that the object with this UID ordered.
pub fn folder(uid: &str) -> Folder {
    Folder { system: system(), id: BackupId::new("2026-11-22T02:13:05Z".parse().unwrap(), uid).unwrap() }
}

/// An archive with one file of `size` bytes.
pub fn archive(size: u64) -> Vec<u8> {
    let content: Vec<u8> = (0..size).map(|at| u8::try_from((at * 31 + at / 251) % 251).unwrap()).collect();
    let mut builder = Builder::new(Vec::new());
    append(&mut builder, EntryType::Regular, "config/system.cfg", &content);
    builder.into_inner().unwrap()
}

/// An archive that holds a link out of itself.
pub fn hostile_archive() -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "config", "/etc").unwrap();
    builder.into_inner().unwrap()
}

fn append(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o600);
    builder.append_data(&mut header, name, content).unwrap();
}

/// Puts one element of a backup; gives what the manifest says of it.
pub async fn put_element(store: &Store, client: &ObjectClient, folder: &Folder, number: u16, name: &str, content: &[u8]) -> Element {
    let element: BackupElement = name.parse().unwrap();
    let key = folder.key(&Item::Element(number, element.kind()));
    let mut hasher = PartHasher::new(PART.try_into().unwrap());
    hasher.update(content);
    let digested = hasher.finish();
    let upload = client.begin_upload(&key, Some(&digested.sha256)).await.unwrap();
    for (index, (part, bytes)) in digested.parts.iter().zip(content.chunks(usize::try_from(PART).unwrap())).enumerate() {
        let request = client.presign_part(&upload, u32::try_from(index + 1).unwrap(), part, Duration::from_secs(300)).await.unwrap();
        assert_eq!(curl::make(&request, bytes, &[], store.authority.as_deref()).await.status, 200);
    }
    let mut parts = client.uploaded_parts(&upload).await.unwrap();
    for (part, known) in parts.iter_mut().zip(&digested.parts) {
        part.sha256.get_or_insert(known.sha256);
    }
    client.finish_upload(&upload, &parts).await.unwrap();
    // What it was begun for is kept with it, by every store.
    assert_eq!(client.stored(&key).await.unwrap().unwrap().digest, Some(digested.sha256));
    Element { element, key, size: digested.size, sha256: digested.sha256, parts: digested.parts }
}

/// Puts a whole backup; gives its manifest.
pub async fn put(store: &Store, uid: &str, elements: &[(&str, Vec<u8>)]) -> Manifest {
    let (client, folder) = (store.client(), folder(uid));
    let mut put = Vec::new();
    for (index, (name, content)) in elements.iter().enumerate() {
        put.push(put_element(store, &client, &folder, u16::try_from(index + 1).unwrap(), name, content).await);
    }
    let manifest = manifest(&folder, uid, put);
    client.write(&folder.key(&Item::Manifest), manifest.write().unwrap()).await.unwrap();
    manifest
}

fn manifest(folder: &Folder, uid: &str, elements: Vec<Element>) -> Manifest {
    let reference = |name: &str, uid: &str| ObjectReference { namespace: "north".into(), name: name.into(), uid: uid.into() };
    Manifest {
        schema_version: SCHEMA_VERSION,
        requires: vec![],
        written_by: String::new(),
        backup_id: folder.id.clone(),
        customer_id: folder.system.customer.clone(),
        system_id: folder.system.system.clone(),
        ip_office: reference("acme-hq", "1b8e3c9a-0000-4000-8000-000000000001"),
        backup: reference("before-the-move", uid),
        occasion: Occasion::Manual,
        name: Some("Before the move".into()),
        started: "2026-11-22T02:13:09Z".parse().unwrap(),
        finished: "2026-11-22T02:14:30Z".parse().unwrap(),
        software_version: "11.1.3.2.0".parse().unwrap(),
        profile: Profile::ServerEdition,
        configuration_revision: 42,
        system_name: "HQ".into(),
        time_zone: "Europe/London".into(),
        servers: vec![],
        totals: Totals::of(&elements),
        elements,
    }
}
