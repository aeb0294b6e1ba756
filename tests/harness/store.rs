//! A bucket, seen by an S3 client that shares no code with ours: curl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A bucket and the way to it.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// URL of the store.
    pub endpoint: String,
    /// Its name.
    pub name: String,
    /// Access key id and secret.
    pub key: (String, String),
    /// File with the authority to trust.
    pub authority: Option<PathBuf>,
}

impl Bucket {
    /// The bucket of a running `switchboard up`.
    pub fn of(data: &Path, port: u16) -> Self {
        let secret = std::fs::read_to_string(data.join("object-store.key")).unwrap().trim().to_owned();
        Self {
            endpoint: format!("https://127.0.0.1:{port}"),
            name: "switchboard".to_owned(),
            key: ("switchboard".to_owned(), secret),
            authority: Some(data.join("ca.crt")),
        }
    }

    fn curl(&self, method: &str, path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-with-body", "--max-time", "60", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user"]);
        command.arg(format!("{}:{}", self.key.0, self.key.1)).args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        if let Some(authority) = &self.authority {
            command.arg("--cacert").arg(authority);
        }
        command.arg(format!("{}/{}{path}", self.endpoint, self.name));
        command
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let output = self.curl(method, path).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{method} {path}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Whether a request succeeds.
    pub fn does(&self, method: &str, path: &str) -> bool {
        self.curl(method, path).output().is_ok_and(|output| output.status.success())
    }

    /// Every key with its size, in order.
    pub fn list(&self) -> Vec<(String, u64)> {
        let text = self.ask("GET", "?list-type=2");
        let field = |entry: &str, name: &str| {
            let (_, rest) = entry.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        text.split("<Contents>").skip(1).map(|entry| (field(entry, "Key"), field(entry, "Size").parse().unwrap())).collect()
    }

    /// Uploads that were neither completed nor aborted.
    pub fn unfinished(&self) -> usize {
        self.ask("GET", "?uploads=").matches("<UploadId>").count()
    }

    /// The bytes of an object.
    pub fn get(&self, key: &str, file: &Path) {
        let status = self.curl("GET", &format!("/{key}")).arg("-o").arg(file).status().unwrap();
        assert!(status.success(), "{key} could not be fetched");
    }

    /// Puts the bytes of a file.
    pub fn put(&self, key: &str, file: &Path) {
        let status = self.curl("PUT", &format!("/{key}")).arg("-o").arg("/dev/null").arg("-T").arg(file).status().unwrap();
        assert!(status.success(), "{key} could not be put");
    }

    /// Removes an object.
    pub fn delete(&self, key: &str) {
        self.ask("DELETE", &format!("/{key}"));
    }
}
