//! The file clients are given: where the server is, how to know it, and who they are.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::private::{self, FileError};

/// How a client proves itself.
#[derive(Debug, Clone, Copy)]
pub enum Credentials<'a> {
    /// A bearer token.
    Token(&'a str),
    /// The file that holds a bearer token: clients read it again as it is renewed.
    TokenFile(&'a Path),
    /// A client certificate with its key, both PEM.
    Certificate {
        /// Certificate.
        certificate: &'a str,
        /// Private key.
        key: &'a str,
    },
}

/// A kubeconfig with one cluster, one user and one context.
#[derive(Debug, Clone, Copy)]
pub struct Kubeconfig<'a> {
    /// Name of cluster and context.
    pub name: &'a str,
    /// Name of the user entry; clients only show it.
    pub user: &'a str,
    /// `https://127.0.0.1:6550`.
    pub server: &'a str,
    /// Certificate of the authority, PEM.
    pub authority: &'a str,
    /// Who the client is.
    pub credentials: Credentials<'a>,
    /// Namespace of commands that name none.
    pub namespace: &'a str,
}

impl Kubeconfig<'_> {
    /// The file's content as a tree.
    pub fn to_value(&self) -> Value {
        let user = match self.credentials {
            Credentials::Token(token) => json!({"token": token}),
            Credentials::TokenFile(path) => json!({"tokenFile": path}),
            Credentials::Certificate { certificate, key } => {
                json!({"client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)})
            }
        };
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": self.name,
                "cluster": {"server": self.server, "certificate-authority-data": STANDARD.encode(self.authority)},
            }],
            "users": [{"name": self.user, "user": user}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": self.user, "namespace": self.namespace}}],
            "current-context": self.name,
        })
    }

    /// Writes the file as YAML, with mode 0600, as a whole.
    ///
    /// # Errors
    /// [`FileError`] names the file, the cause and what to do.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        private::write(path, self.to_yaml().as_bytes())
    }

    /// The file's content.
    pub fn to_yaml(&self) -> String {
        // YAML of strings, lists and maps cannot fail; JSON is YAML too.
        serde_yaml::to_string(&self.to_value()).unwrap_or_else(|_| self.to_value().to_string())
    }
}

#[cfg(test)]
mod tests;
