//! What a pod gets to speak with the API server: address, certificates and a token, as a folder and as a kubeconfig.
//!
//! Containers on a real node find these at fixed places below `/var/run/secrets`. There are no mount namespaces here, so that place is a folder
//! of the pod, named by `KUBECONFIG`, which every client library reads first.

use std::path::{Path, PathBuf};

use super::environment::{Environment, Surroundings};
use super::volumes::{Content, replace};
use crate::node::options::ApiServer;
use crate::server::Kubeconfig;
use crate::server::kubeconfig::Credentials;

/// Where containers of a real node find it.
pub const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Name of the kubeconfig beside token and certificates.
const KUBECONFIG: &str = "kubeconfig";

/// Makes the folder, or brings it up to date; `None` where the pod or its service account does not want one.
///
/// # Errors
/// No such service account, no token, or a folder that cannot be written.
pub async fn make(folder: &Path, server: &ApiServer, around: &Surroundings<'_>) -> Result<Option<PathBuf>, String> {
    if !automounts(around).await? {
        return Ok(None);
    }
    let token = around.tokens.get(around.cluster, around.pod, None, None).await?;
    let namespace = around.pod.metadata.namespace.clone().unwrap_or_default();
    let kubeconfig = Kubeconfig {
        name: "cluster",
        user: "service-account",
        server: &server.url,
        authority: &server.authority,
        // By its path, so that clients read it again when it is renewed.
        credentials: Credentials::TokenFile(&folder.join("token")),
        namespace: &namespace,
    };
    let text = |path: &str, data: &str| Content { path: path.to_owned(), data: data.as_bytes().to_vec(), mode: 0o600 };
    let contents =
        [text("token", &token), text("ca.crt", &server.authority), text("namespace", &namespace), text(KUBECONFIG, &kubeconfig.to_yaml())];
    replace(folder, &contents)?;
    Ok(Some(folder.to_owned()))
}

/// The pod decides, then its service account; both say yes where they say nothing.
async fn automounts(around: &Surroundings<'_>) -> Result<bool, String> {
    let spec = around.pod.spec.as_ref();
    if let Some(wanted) = spec.and_then(|spec| spec.automount_service_account_token) {
        return Ok(wanted);
    }
    let namespace = around.pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = spec.and_then(|spec| spec.service_account_name.as_deref()).filter(|name| !name.is_empty()).unwrap_or("default");
    let account = around.cluster.service_account(namespace, name).await?;
    let account = account.ok_or_else(|| format!("serviceaccount {name:?} not found"))?;
    Ok(account.automount_service_account_token != Some(false))
}

/// The variables by which clients find the API server.
pub fn variables(environment: &mut Environment, folder: Option<&Path>) {
    if let Some(folder) = folder {
        environment.set("KUBECONFIG", folder.join(KUBECONFIG).to_string_lossy());
    }
}
