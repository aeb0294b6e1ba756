//! Bad days: each is a test of what becomes of backups and restores on it. At the end nothing is under way, nobody has the lock, and the system is
//! green.

mod deletions;
mod falsehoods;
mod outages;
mod processes;
mod stores;
mod systems;

use harness::proxy::Fate;
use serde_json::{Value, json};

use crate::content::{Disk, Files};
use crate::scene::{Scene, Stage};

/// Seconds without progress after which operators give up that are started with [`IMPATIENT`].
const IMPATIENT: [&str; 1] = ["--give-up-after=4"];

/// Causes of a Server Edition with a little of everything, that is back quickly.
pub(crate) fn small() -> Value {
    json!({
        "profile": "Server Edition", "restore": {"outageSeconds": 1}, "logging": {"linesPerMinute": 0},
        "content": {"extensions": 4, "mailboxes": 1, "messagesPerMailbox": 1, "messageKilobytes": 2, "prompts": 1, "promptKilobytes": 2},
    })
}

/// The same with 50 MB in it, of which a second moves so many kilobytes.
pub(crate) fn large(kilobytes_per_second: u32) -> Value {
    let mut causes = small();
    causes["content"]["fillerMegabytes"] = json!(50);
    causes["faults"] = json!({"transfers": {"kilobytesPerSecond": kilobytes_per_second}});
    causes
}

/// The store is down, for everybody.
fn store_is_down(scene: &Scene) {
    scene.store.decide(|_| Fate::Lost);
    scene.transfers.decide(|_| Fate::Lost);
}

/// And back.
fn store_is_back(scene: &Scene) {
    scene.store.pass();
    scene.transfers.pass();
}

/// A backup that is complete; its folder.
fn backed_up(scene: &Scene, name: &str) -> String {
    scene.order_backup(name, &json!({}));
    let backup = scene.wait_until("backups", name, "Completed", "Stored");
    backup["status"]["folder"].as_str().unwrap().to_owned()
}

/// The bytes in the store are those of the elements that the backup names, every one, once, and nothing else lies there.
pub(crate) fn assert_whole(scene: &Stage, backups: &[&str]) {
    let (keys, uploads) = scene.keys();
    assert!(uploads.is_empty(), "unfinished uploads: {uploads:?}");
    let mut expected = 0;
    for name in backups {
        let backup = scene.cluster.get(crate::scene::NAMESPACE, "backups", name).unwrap();
        let folder = backup["status"]["folder"].as_str().unwrap();
        let elements = backup["status"]["elements"].as_array().unwrap();
        let mut digests: Vec<String> = elements.iter().map(|element| element["sha256"].as_str().unwrap().to_owned()).collect();
        let stored = keys.iter().filter(|key| key.starts_with(folder) && !key.ends_with("manifest.json"));
        let mut found: Vec<String> = stored.map(|key| archive::digest::Sha256::of(&scene.read(key)).to_string()).collect();
        digests.sort();
        found.sort();
        assert_eq!(found, digests, "elements of {name}");
        assert!(keys.contains(&format!("{folder}manifest.json")), "{name} has no manifest: {keys:?}");
        expected += elements.len() + 1;
    }
    assert_eq!(keys.len(), expected, "something else lies in the store: {keys:?}");
}

/// What must not change when a restore is refused.
struct Untouched {
    files: Files,
    starts: u64,
    disk: Disk,
}

impl Untouched {
    fn of(scene: &Scene) -> Self {
        let disk = Disk::of(scene);
        Self { files: disk.files(), starts: disk.starts(), disk }
    }

    fn assert(&self) {
        assert!(self.disk.files() == self.files, "the content of the system has changed");
        assert_eq!(self.disk.starts(), self.starts, "the system was restarted");
    }
}
