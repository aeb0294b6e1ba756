//! Admission policies: what no schema can refuse. They stand in `crds/policies/`, ready to be applied but for the name of the operator.

use serde::Deserialize as _;
use serde_json::Value;

/// Stands in the files for the user that the operator is, such as `system:serviceaccount:switchboard-system:switchboard`.
pub const OPERATOR: &str = "${operator}";

/// File names in `crds/policies/`, and contents.
pub const FILES: [(&str, &str); 3] = [
    ("running-actions.yaml", include_str!("../policies/running-actions.yaml")),
    ("running-backups.yaml", include_str!("../policies/running-backups.yaml")),
    ("status.yaml", include_str!("../policies/status.yaml")),
];

/// Policies and bindings for an operator that is the user `operator`, to be applied as they are.
///
/// # Errors
/// A file is not YAML, which a test excludes.
pub fn all(operator: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    let mut objects = Vec::new();
    for (_, text) in FILES {
        let text = text.replace(OPERATOR, operator);
        for document in serde_yaml::Deserializer::from_str(&text) {
            objects.push(Value::deserialize(document)?);
        }
    }
    Ok(objects)
}
