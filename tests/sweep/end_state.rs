//! What a backup and a restore have come to, as far as it must not depend on when the operator was killed.

use std::collections::BTreeMap;

use archive::digest::Sha256;
use harness::proxy::{Proxy, Seen};
use serde_json::{Value, json};

use crate::content::{Disk, Files};
use crate::scene::{NAMESPACE, Scene};

/// How the system was before.
pub struct Before {
    pub files: Files,
    pub starts: u64,
    pub revision: u64,
}

impl Before {
    pub fn of(disk: &Disk) -> Self {
        let revision = disk.state()["configuration"]["revision"].as_u64().unwrap();
        Self { files: disk.files(), starts: disk.starts(), revision }
    }
}

/// The end state, as a tree that can be shown and compared.
pub fn end_state(scene: &Scene, disk: &Disk, before: &Before) -> Value {
    let get = |plural: &str, name: &str| scene.cluster.get(NAMESPACE, plural, name).unwrap_or_default();
    let (backup, restore, system) = (get("backups", "sweep"), get("restores", "sweep"), scene.system());
    let folder = backup["status"]["folder"].as_str().unwrap_or("none").to_owned();
    let state = disk.state();
    let last = &state["lastRestore"];
    let operation = format!("restore-{}", restore["metadata"]["uid"].as_str().unwrap_or_default());
    let now = disk.files();
    json!({
        "backup": action(&backup),
        "elements": backup["status"]["elements"],
        "restore": action(&restore),
        "restored": restore["status"]["elements"],
        "objects": objects(scene, &folder),
        "uploads": scene.keys().1,
        "lock": system["status"]["operation"],
        "colour": system["status"]["connection"]["colour"],
        "content is as it was backed up": now == before.files,
        "files that differ": now.iter().filter(|(name, digest)| before.files.get(*name) != Some(digest)).map(|(name, _)| name).collect::<Vec<_>>(),
        "starts": disk.starts() - before.starts,
        "revisions": state["configuration"]["revision"].as_u64().unwrap() - before.revision,
        "restore is this one": last["operation"] == operation && last["failure"].is_null() && state["restoring"].is_null(),
        "left in transfer": left(disk),
        "backups": names(scene, "backups"),
        "restores": names(scene, "restores"),
        "creates": counted(&scene.api, "POST", 201),
        "deletes": counted(&scene.api, "DELETE", 200),
    })
}

fn action(action: &Value) -> Value {
    let conditions = action["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let shown = |condition: &Value| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        // The number of the configuration is another after every restore.
        let message = text("message").replace(|c: char| c.is_ascii_digit(), "");
        format!("{} {} {}: {message}", text("type"), text("status"), text("reason"))
    };
    json!({
        "phase": action["status"]["phase"], "progress": action["status"]["progress"], "size": action["status"]["size"],
        "conditions": conditions.iter().map(shown).collect::<Vec<_>>(), "finalizers": action["metadata"]["finalizers"],
    })
}

/// Objects of the backup by name, with size and digest; of the manifest, which holds times, that it is there. All others by their keys.
fn objects(scene: &Scene, folder: &str) -> BTreeMap<String, String> {
    let described = |key: String| match key.strip_prefix(folder) {
        Some("manifest.json") => ("manifest.json".to_owned(), "there".to_owned()),
        Some(name) => {
            let bytes = scene.read(&key);
            (name.to_owned(), format!("{} bytes, {}", bytes.len(), Sha256::of(&bytes)))
        }
        None => (key, "of nobody".to_owned()),
    };
    scene.keys().0.into_iter().map(described).collect()
}

fn names(scene: &Scene, plural: &str) -> Vec<Value> {
    scene.cluster.list(NAMESPACE, plural).into_iter().map(|action| action["metadata"]["name"].clone()).collect()
}

/// What was packed or fetched and is still there.
fn left(disk: &Disk) -> Vec<String> {
    let entries = std::fs::read_dir(disk.transfer()).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Requests of the operator that created or deleted something, by resource; Events do not count: one that a crash swallows is lost.
fn counted(api: &Proxy, method: &str, status: u16) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let done = |seen: &Seen| seen.method == method && seen.status == Some(status);
    for seen in api.changes().into_iter().filter(done) {
        let resource = seen.path.trim_start_matches('/').split('/').filter(|part| *part != NAMESPACE).collect::<Vec<_>>().join("/");
        if !resource.contains("/events") {
            *counts.entry(resource).or_default() += 1;
        }
    }
    counts
}
