//! Which kinds there are.

use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use kube::{Client, Error};

/// A kind in its preferred version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Group, version, kind and plural.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Verbs.
    pub verbs: Vec<String>,
}

impl Kind {
    /// For [`Api`](kube::Api)s of this kind.
    pub fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&self.group, &self.version, &self.kind), &self.plural)
    }
    /// Whether a verb is served.
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|other| other == verb)
    }
    /// `pods`, `widgets.example.com`.
    pub fn title(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
    /// Events are too many and belong to nobody.
    pub fn is_event(&self) -> bool {
        self.kind == "Event" && (self.group.is_empty() || self.group == "events.k8s.io")
    }
}

/// Asks the server for its kinds, each in the preferred version of its group.
///
/// # Errors
/// What the server says.
pub async fn discover(client: &Client) -> Result<Vec<Kind>, Error> {
    let mut kinds = of_version(client, "", "v1").await?;
    for group in client.list_api_groups().await?.groups {
        let preferred = group.preferred_version.or_else(|| group.versions.first().cloned());
        let Some(preferred) = preferred else { continue };
        kinds.extend(of_version(client, &group.name, &preferred.version).await?);
        for other in group.versions.iter().filter(|other| other.version != preferred.version) {
            // Kinds that only an older or newer version has.
            for kind in of_version(client, &group.name, &other.version).await? {
                if !kinds.iter().any(|known| known.group == kind.group && known.kind == kind.kind) {
                    kinds.push(kind);
                }
            }
        }
    }
    Ok(kinds)
}

async fn of_version(client: &Client, group: &str, version: &str) -> Result<Vec<Kind>, Error> {
    let list = if group.is_empty() {
        client.list_core_api_resources(version).await
    } else {
        client.list_api_group_resources(&format!("{group}/{version}")).await
    };
    let list = match list {
        // The last definition of the group went between the two questions.
        Err(Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
        other => other?,
    };
    let of = |resource: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource| Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: resource.kind,
        plural: resource.name,
        namespaced: resource.namespaced,
        verbs: resource.verbs,
    };
    Ok(list.resources.into_iter().filter(|resource| !resource.name.contains('/')).map(of).collect())
}
