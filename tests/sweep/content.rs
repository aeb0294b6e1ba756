//! What the system has on its disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use archive::digest::Sha256;
use harness::cluster::Cluster;
use serde_json::Value;

use crate::scene::{NAMESPACE, SYSTEM, Stage};

/// Its files, by path, with the digests of their bytes.
pub type Files = BTreeMap<String, String>;

/// The disk of the system.
pub struct Disk(PathBuf);

impl Disk {
    /// Of the scene's system.
    pub fn of(scene: &Stage) -> Self {
        Self(scene.plane.data().join("node/claims").join(claim(&scene.cluster)))
    }

    /// What a backup takes.
    pub fn files(&self) -> Files {
        let mut found = Files::new();
        read(&self.0.join("content"), &self.0.join("content"), &mut found);
        found
    }

    /// How often it started, and how many restores it wrote down: nothing else tells that it was restarted twice.
    pub fn starts(&self) -> u64 {
        self.state()["starts"].as_u64().unwrap()
    }

    /// What it remembers.
    pub fn state(&self) -> Value {
        // It is replaced as a whole, so it is never half there.
        serde_json::from_slice(&std::fs::read(self.0.join("state.json")).unwrap()).unwrap()
    }

    /// Somebody works on the system: a file changes, one comes, one goes.
    pub fn change(&self) {
        let folder = self.0.join("content/servers/primary/IPOffice");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.is_file() && !path.ends_with("settings.json"));
        files.sort();
        assert!(files.len() >= 2, "too few files to change: {files:?}");
        std::fs::write(&files[0], "changed by hand").unwrap();
        std::fs::remove_file(&files[1]).unwrap();
        std::fs::write(folder.join("new-by-hand.txt"), "new").unwrap();
    }

    /// Folder of backups and restores under way.
    pub fn transfer(&self) -> PathBuf {
        self.0.join("transfer")
    }
}

fn claim(cluster: &Cluster) -> String {
    let claim = cluster.get(NAMESPACE, "persistentvolumeclaims", &format!("{SYSTEM}-disk")).expect("the claim for the disk");
    claim["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn read(root: &Path, folder: &Path, found: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, Sha256::of(&std::fs::read(&path).unwrap()).to_string());
        }
    }
}
