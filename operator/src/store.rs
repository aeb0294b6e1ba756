//! The embedded object store of `up`, and the `ObjectStore` named `default` that stands for it.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use embedded::server::{Pki, tokens};
use object_server::{BoundServer, Credentials, ObjectServer, Options, Tls};
use serde_json::{Value, json};

use crate::manifests::NAMESPACE;

/// Bucket for backups.
const BUCKET: &str = "switchboard";
/// Name of the access key.
const ACCESS_KEY_ID: &str = "switchboard";
/// Secret with the access key.
const SECRET: &str = "object-store";

/// An object store whose port is taken, and that does not serve yet.
pub struct Store {
    /// The server.
    pub server: BoundServer,
    /// The Secret and the ObjectStore to apply.
    pub manifests: Vec<Value>,
    /// Where it serves.
    pub endpoint: String,
}

/// Opens the folder and takes the port.
///
/// # Errors
/// A folder in use or unwritable; a port in use.
pub async fn open(data: &Path, port: u16, pki: &Pki) -> Result<Store, Box<dyn Error>> {
    let secret = tokens::kept_in(&data.join("object-store.key"))?;
    let mut options = Options::new(data.join("objects"));
    options.buckets = vec![BUCKET.to_owned()];
    options.credentials = vec![Credentials { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: secret.clone() }];
    options.tls = Some(Tls::Config(Arc::new(pki.server_config()?)));
    let server = tokio::task::spawn_blocking(move || ObjectServer::open(options))
        .await??
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .map_err(|error| format!("{error} (--store-port)"))?;
    let endpoint = format!("https://{}", server.address());
    let manifests = vec![
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "data": {"accessKeyId": STANDARD.encode(ACCESS_KEY_ID), "secretAccessKey": STANDARD.encode(&secret)},
        }),
        json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "ObjectStore", "metadata": {"name": crds::action::DEFAULT_STORE},
            "spec": {
                "endpoint": endpoint, "bucket": BUCKET, "credentialsSecret": {"namespace": NAMESPACE, "name": SECRET},
                "certificateAuthority": pki.authority(),
            },
        }),
    ];
    Ok(Store { server, manifests, endpoint })
}
