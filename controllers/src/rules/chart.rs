//! Files of the chart that are made from the code: kinds, rights, roles, admission policies. `make generate` writes them.

use std::path::Path;

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Serialize;

/// Folder of the files, below the checkout.
pub const FOLDER: &str = "charts/switchboard/files";
/// Stands for the operator's name in what of a rule depends on it.
const NAME: &str = "${name}";
const FIRST_LINE: &str = "# Generated from the code by `make generate`. Do not edit.\n";

/// Rules of the operator, by where they are bound.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rules {
    tenancy: Vec<PolicyRule>,
    whole_cluster: Vec<PolicyRule>,
    simulation: Vec<PolicyRule>,
    own_namespace: Vec<PolicyRule>,
}

/// Why the files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The types always serialise; so none in practice.
    #[error("cannot write it as YAML: {0}")]
    Serialize(#[from] serde_yaml::Error),
    /// The policies are copied.
    #[error("cannot read the admission policies: {0}")]
    ReadPolicies(#[from] std::io::Error),
}

/// Names below [`FOLDER`], and contents. `checkout` is the folder of the project.
///
/// # Errors
/// The admission policies cannot be read.
pub fn files(checkout: &Path) -> Result<Vec<(String, String)>, ChartError> {
    let rules = Rules {
        tenancy: super::tenancy(),
        whole_cluster: super::whole_cluster(),
        simulation: super::simulation(),
        own_namespace: super::own_namespace(NAME),
    };
    let mut all = vec![
        ("rules.yaml".to_owned(), format!("{FIRST_LINE}{}", serde_yaml::to_string(&rules)?)),
        ("roles.yaml".to_owned(), format!("{FIRST_LINE}{}", serde_yaml::to_string(&super::people::cluster_roles())?)),
    ];
    all.extend(crds::generate::files()?.into_iter().map(|(name, content)| (format!("crds/{name}"), content)));
    all.extend(policies(&checkout.join("crds/policies"))?);
    Ok(all)
}

fn policies(folder: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(all),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.push((format!("policies/{name}"), std::fs::read_to_string(&path)?));
        }
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_files_of_the_chart_are_what_the_code_says() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let expected = files(&checkout).unwrap();
        for (name, content) in &expected {
            let committed = std::fs::read_to_string(checkout.join(FOLDER).join(name)).unwrap_or_default();
            assert!(&committed == content, "{FOLDER}/{name} is out of date: run `make generate` and commit the result");
        }
        let names: BTreeSet<_> = expected.into_iter().map(|(name, _)| name).collect();
        for folder in ["crds", "policies"] {
            for entry in std::fs::read_dir(checkout.join(FOLDER).join(folder)).into_iter().flatten() {
                let name = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
                assert!(names.contains(&name), "{FOLDER}/{name} is made from nothing: remove it");
            }
        }
    }
}
