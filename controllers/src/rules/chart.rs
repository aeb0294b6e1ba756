//! Files of the chart that are made from the code: kinds, rights, roles, admission policies. `make generate` writes them.

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

/// Names below [`FOLDER`], and contents.
///
/// # Errors
/// A type cannot be written as YAML; all can, so none in practice.
pub fn files() -> Result<Vec<(String, String)>, serde_yaml::Error> {
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
    all.extend(crds::policies::FILES.map(|(name, content)| (format!("policies/{name}"), content.to_owned())));
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_files_of_the_chart_are_what_the_code_says() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let expected = files().unwrap();
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
