//! Which systems a fleet has.

use crds::IPOffice;
use crds::identity::derive_system_id;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use model::ids::SystemId;
use model::secret::Secret;

/// One system of a fleet.
#[derive(Debug, Clone)]
pub struct Member {
    /// Namespace of its IPOffice.
    pub namespace: String,
    /// Name of its IPOffice.
    pub name: String,
    /// Its customer.
    pub customer: String,
    /// Its id.
    pub system_id: SystemId,
    /// The account that COM signs in as, and its password.
    pub service_user: Option<(String, Secret)>,
}

/// The systems that exist with these labels, at most `most`, with the passwords that COM holds for them.
///
/// # Errors
/// The API server's answer.
pub async fn existing(client: &Client, selector: &str, most: usize) -> Result<Vec<Member>, kube::Error> {
    let all = Api::<IPOffice>::all(client.clone()).list(&ListParams::default().labels(selector)).await?;
    let mut members = Vec::new();
    for system in all.items.into_iter().take(most) {
        let (namespace, name) = (system.namespace().unwrap_or_default(), system.name_any());
        let given = system.spec.system_id.as_deref().and_then(|id| id.parse().ok());
        let system_id = given.unwrap_or_else(|| derive_system_id(&namespace, &name));
        let service_user = service_user(client, &namespace, &system).await?;
        members.push(Member { namespace, name, customer: system.spec.customer, system_id, service_user });
    }
    Ok(members)
}

async fn service_user(client: &Client, namespace: &str, system: &IPOffice) -> Result<Option<(String, Secret)>, kube::Error> {
    let Some(user) = &system.spec.service_user else { return Ok(None) };
    let secrets: Api<KubernetesSecret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get_opt(&user.password_secret.name).await?;
    let password = secret.as_ref().and_then(|secret| text(secret, &user.password_secret.key));
    Ok(password.map(|password| (user.name.clone(), Secret::new(password))))
}

/// A value of a Secret; the line break at the end is not part of it.
pub fn text(secret: &KubernetesSecret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    let text = String::from_utf8(bytes.0.clone()).ok()?;
    Some(text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(&text).to_owned())
}
