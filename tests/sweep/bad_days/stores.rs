//! What lies in the store is damaged, foreign, dangerous, or of tomorrow: it is refused before the system is touched.

use archive::digest::{PART_SIZE, Part, Sha256};
use serde_json::{Value, json};

use super::{Untouched, backed_up, small};
use crate::scene::Scene;

/// Has a restore refused that comes upon this in the store, and sees that the system stays as it is.
fn assert_refused(scene: &Scene, name: &str, source: &Value, reasons: &[&str]) {
    let before = Untouched::of(scene);
    scene.order_restore(name, &json!({"source": source}));
    let over = scene.wait_until_over("restores", name);
    let reason = harness::cluster::condition(&over, "Complete");
    assert!(over["status"]["phase"] == "Failed" && reasons.iter().any(|wanted| reason.ends_with(wanted)), "{name}: {}", over["status"]);
    scene.wait_until_settled();
    before.assert();
}

fn manifest(scene: &Scene, folder: &str) -> Value {
    serde_json::from_slice(&scene.read(&format!("{folder}manifest.json"))).unwrap()
}

/// Puts other bytes in the place of the first element, and makes the manifest say that they are right.
fn forge(scene: &Scene, folder: &str, bytes: &[u8]) {
    let mut manifest = manifest(scene, folder);
    let element = &mut manifest["elements"][0];
    let key = element["key"].as_str().unwrap().to_owned();
    let digest = Sha256::of(bytes).to_string();
    assert!(bytes.len() as u64 <= PART_SIZE.get(), "one part");
    let before = element["size"].as_u64().unwrap();
    element["size"] = json!(bytes.len());
    element["sha256"] = json!(digest);
    element["parts"] = serde_json::to_value([Part { size: bytes.len() as u64, sha256: Sha256::of(bytes) }]).unwrap();
    let total = manifest["totals"]["size"].as_u64().unwrap() - before + bytes.len() as u64;
    manifest["totals"]["size"] = json!(total);
    scene.replace(&key, bytes.to_vec());
    scene.replace(&format!("{folder}manifest.json"), serde_json::to_vec(&manifest).unwrap());
}

fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    // The library refuses such names, so they are written past it.
    let field = &mut header.as_gnu_mut().unwrap().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, content).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn a_damaged_truncated_foreign_or_dangerous_archive_is_refused_before_the_system_is_touched() {
    let scene = Scene::new(&small(), &[]);
    let folder = backed_up(&scene, "first");
    let source = json!({"backup": "first"});
    let good = manifest(&scene, &folder);
    let key = good["elements"][0]["key"].as_str().unwrap().to_owned();
    let bytes = scene.read(&key);

    let mut damaged = bytes.clone();
    damaged[1000] ^= 1;
    scene.replace(&key, damaged);
    assert_refused(&scene, "damaged", &source, &["DigestMismatch"]);

    scene.replace(&key, bytes[..bytes.len() - 512].to_vec());
    assert_refused(&scene, "truncated", &source, &["BackupDamaged"]);

    let other = scene.read(good["elements"][1]["key"].as_str().unwrap());
    forge(&scene, &folder, &other);
    assert_refused(&scene, "foreign", &source, &["ArchiveRefused"]);

    for (name, path) in [("upwards", "../escaped"), ("inside-out", "a/../../escaped"), ("absolute", "/tmp/escaped")] {
        forge(&scene, &folder, &tar(path, b"out"));
        assert_refused(&scene, name, &source, &["ArchiveRefused"]);
    }

    forge(&scene, &folder, b"this is no archive at all, but it has its digest");
    assert_refused(&scene, "nonsense", &source, &["ArchiveRefused"]);

    // Mended, it is as good as before.
    scene.replace(&key, bytes);
    scene.replace(&format!("{folder}manifest.json"), serde_json::to_vec(&good).unwrap());
    scene.order_restore("good", &json!({"source": {"backup": "first"}}));
    scene.wait_until("restores", "good", "Completed", "Restored");
    scene.wait_until_settled();
}

#[test]
fn a_manifest_of_tomorrow_or_of_nobody_is_refused_and_left_as_it_is() {
    let scene = Scene::new(&small(), &[]);
    let folder = backed_up(&scene, "first");
    let source = json!({"backup": "first"});
    let key = format!("{folder}manifest.json");
    let good = manifest(&scene, &folder);

    let mut newer = good.clone();
    newer["schemaVersion"] = json!(99);
    let newer = serde_json::to_vec(&newer).unwrap();
    scene.replace(&key, newer.clone());
    assert_refused(&scene, "tomorrow", &source, &["NewerManifest"]);
    assert_eq!(scene.read(&key), newer, "what is not understood is not touched");

    let mut foreign = good.clone();
    foreign["systemId"] = json!("another");
    scene.replace(&key, serde_json::to_vec(&foreign).unwrap());
    assert_refused(&scene, "another", &source, &["BackupDamaged"]);

    scene.replace(&key, b"{".to_vec());
    assert_refused(&scene, "half", &source, &["BackupDamaged"]);

    scene.cluster.block_on(scene.objects.delete(&[key])).unwrap();
    assert_refused(&scene, "none", &source, &["NoBackup"]);
}
