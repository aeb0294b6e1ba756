//! What tests of several modules need.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;
use model::system::{Profile, ServerRole};

use crate::digest::PartHasher;
use crate::element::{BackupElement, Occasion};
use crate::layout::{BackupId, Folder, Item};
use crate::manifest::{Element, Manifest, ObjectReference, SCHEMA_VERSION, Server, Totals};

/// A time from its text.
pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The system of the fixture.
pub fn system() -> model::ids::SystemKey {
    model::ids::SystemKey { customer: "acme1".parse().unwrap(), system: "hq".parse().unwrap() }
}

/// An element of `content`, in parts of 16 bytes.
pub fn element(folder: &Folder, number: u16, text: &str, content: &[u8]) -> Element {
    let element: BackupElement = text.parse().unwrap();
    let mut hasher = PartHasher::new(16.try_into().unwrap());
    hasher.update(content);
    let digested = hasher.finish();
    let key = folder.key(&Item::Element(number, element.kind()));
    Element { element, key, size: digested.size, sha256: digested.sha256, parts: digested.parts }
}

/// The backup in `fixtures/manifest-v1.json`.
pub fn manifest() -> Manifest {
    let uid = "7d9f8f2e-5a2b-4a51-9c58-0d6a5f3b1c11";
    let id = BackupId::new(time("2026-11-22T02:13:05Z"), uid).unwrap();
    let reference = |name: &str, uid: &str| ObjectReference { namespace: "north".into(), name: name.into(), uid: uid.into() };
    let folder = Folder { system: system(), id: id.clone() };
    let elements = vec![
        element(&folder, 1, "Configuration/IPOffice/HQ", b"configuration"),
        element(&folder, 2, "VoicemailConfiguration", b"voicemail"),
        element(&folder, 3, "SelectiveVoicemails", b"messages in two parts"),
    ];
    let server = |name: &str, role| Server { name: name.into(), role, software_version: "11.1.3.2.0".parse().unwrap() };
    Manifest {
        schema_version: SCHEMA_VERSION,
        requires: vec![],
        written_by: "switchboard 0.1.0".into(),
        backup_id: id,
        customer_id: folder.system.customer.clone(),
        system_id: folder.system.system.clone(),
        ip_office: reference("acme-hq", "1b8e3c9a-0000-4000-8000-000000000001"),
        backup: reference("before-the-move", uid),
        occasion: Occasion::Manual,
        name: Some("Before the move".into()),
        started: time("2026-11-22T02:13:09Z"),
        finished: time("2026-11-22T02:14:30.25Z"),
        software_version: "11.1.3.2.0".parse().unwrap(),
        profile: Profile::ServerEdition,
        configuration_revision: 42,
        system_name: "HQ".into(),
        time_zone: "Europe/London".into(),
        servers: vec![server("HQ", ServerRole::Primary), server("Application server 1", ServerRole::ApplicationServer)],
        totals: Totals::of(&elements),
        elements,
    }
}

/// A backup of the fixture's system that holds one configuration.
pub fn backup(started: Timestamp, occasion: Occasion, uid: &str) -> Manifest {
    let id = BackupId::new(started, uid).unwrap();
    let folder = Folder { system: system(), id: id.clone() };
    let elements = vec![element(&folder, 1, "Configuration/IPOffice/HQ", uid.as_bytes())];
    let mut manifest = Manifest { backup_id: id, occasion, name: None, started, finished: started, ..manifest() };
    manifest.backup.uid = uid.into();
    manifest.totals = Totals::of(&elements);
    manifest.elements = elements;
    manifest
}
