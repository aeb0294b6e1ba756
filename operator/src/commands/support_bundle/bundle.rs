//! The bundle itself: files by name, what was left out and why, and the archive they become.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::scrub::Scrubber;

/// Folder in the archive.
const FOLDER: &str = "support-bundle";
/// Bytes of all files together; what comes later is left out, and that is said.
const LARGEST: usize = 64 << 20;

/// What is collected.
pub struct Bundle {
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
    left_out: Vec<Value>,
    /// Takes secrets out of all that is added.
    pub scrubber: Scrubber,
}

impl Bundle {
    /// An empty one.
    pub fn new(scrubber: Scrubber) -> Self {
        Self { files: BTreeMap::new(), bytes: 0, left_out: Vec::new(), scrubber }
    }

    /// Adds a text, without the secrets in it.
    pub fn text(&mut self, name: &str, text: &str) {
        let text = self.scrubber.text(text);
        self.add(name, text.into_bytes());
    }

    /// Adds an object as YAML, without the secrets in it.
    pub fn object(&mut self, name: &str, mut object: Value) {
        self.scrubber.object(&mut object);
        match serde_yaml::to_string(&object) {
            Ok(text) => self.add(name, text.into_bytes()),
            Err(error) => self.leave_out(name, &format!("it cannot be written as YAML: {error}")),
        }
    }

    fn add(&mut self, name: &str, content: Vec<u8>) {
        if self.bytes + content.len() > LARGEST {
            self.leave_out(name, &format!("the bundle would have more than {} MiB", LARGEST >> 20));
            return;
        }
        self.bytes += content.len();
        self.files.insert(name.to_owned(), content);
    }

    /// Notes that something is not in it, and why.
    pub fn leave_out(&mut self, what: &str, why: &str) {
        let why = self.scrubber.text(why);
        self.left_out.push(json!({"what": what, "why": why}));
    }

    /// How many files there are, and how much is left out.
    pub fn totals(&self) -> (usize, usize) {
        (self.files.len(), self.left_out.len())
    }

    /// What is in it, what is not, and what was taken out.
    pub fn manifest(&self, made: &Value) -> Value {
        let files: Vec<Value> = self.files.iter().map(|(name, content)| json!({"file": name, "bytes": content.len()})).collect();
        json!({
            "made": made,
            "files": files,
            "leftOut": self.left_out,
            "always": [
                "values of Secrets: of Secrets there are names and keys only",
                "ConfigMaps, Helm's release Secrets, logs and objects of pods that are not the operator's",
                "values of environment variables, managed fields, the last applied configuration",
            ],
            "takenOut": {
                "placesInTexts": self.scrubber.count.texts,
                "fields": self.scrubber.count.fields,
                "secretValuesTooShortToBeLookedFor": self.scrubber.short_values,
            },
            "note": "texts were searched for the values of the Secrets that could be read, and for what looks like a secret; look through it before you hand it on",
        })
    }

    /// Writes the archive. It appears whole, and for its owner only.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(mut self, output: &Path, made: &Value) -> io::Result<()> {
        let manifest = serde_json::to_vec_pretty(&self.manifest(made))?;
        self.files.insert("manifest.json".to_owned(), manifest);
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let unfinished = output.with_file_name(name);
        let written = self.write_to(&unfinished, compressed(output)).and_then(|()| std::fs::rename(&unfinished, output));
        if written.is_err() {
            // The error that counts is the first.
            let _ = std::fs::remove_file(&unfinished);
        }
        written
    }

    fn write_to(&self, path: &Path, compressed: bool) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        if compressed {
            let encoder = self.archive(GzEncoder::new(file, Compression::default()))?;
            encoder.finish()?.sync_all()
        } else {
            self.archive(file)?.sync_all()
        }
    }

    fn archive<W: Write>(&self, writer: W) -> io::Result<W> {
        let mut archive = tar::Builder::new(writer);
        for (name, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(0);
            archive.append_data(&mut header, format!("{FOLDER}/{name}"), content.as_slice())?;
        }
        archive.into_inner()
    }
}

/// Whether a file of this name is compressed.
pub fn compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "tgz")
}
