//! CustomResourceDefinitions: names and versions. Their schemas are checked by the API, with [`crate::schema`].

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{faults, immutable};
use crate::builtin::json::{items_at, text_at};
use crate::builtin::names;
use crate::status::FieldError;

pub(super) fn validate(definition: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    validate_group_and_name(definition, errors);
    validate_names(definition, errors);
    validate_versions(definition, errors);
    let Some(old) = old else { return };
    immutable(errors, definition, old, "/spec/group");
    if is_established(old) {
        for pointer in ["/spec/scope", "/spec/names/kind"] {
            immutable(errors, definition, old, pointer);
        }
    }
    immutable(errors, definition, old, "/spec/names/plural");
}

fn is_established(definition: &Value) -> bool {
    let conditions = items_at(definition, "/status/conditions");
    conditions.iter().any(|c| text_at(c, "/type") == Some("Established") && text_at(c, "/status") == Some("True"))
}

fn validate_group_and_name(definition: &Value, errors: &mut Vec<FieldError>) {
    let group = text_at(definition, "/spec/group").unwrap_or_default();
    let plural = text_at(definition, "/spec/names/plural").unwrap_or_default();
    let name = text_at(definition, "/metadata/name").unwrap_or_default();
    if name != format!("{plural}.{group}") {
        errors.push(FieldError::invalid("metadata.name", &json!(name), "must be spec.names.plural+\".\"+spec.group"));
    }
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
        return;
    }
    faults(errors, "spec.group", group, names::subdomain(group));
    if !group.contains('.') {
        errors.push(FieldError::invalid("spec.group", &json!(group), "should be a domain with at least one dot"));
    }
}

fn validate_names(definition: &Value, errors: &mut Vec<FieldError>) {
    let name = |field: &str| text_at(definition, &format!("/spec/names/{field}"));
    for field in ["plural", "singular"] {
        if let Some(word) = name(field) {
            faults(errors, &format!("spec.names.{field}"), word, names::label_of_1035(word));
        }
    }
    for field in ["kind", "listKind"] {
        if let Some(word) = name(field) {
            let wrong = names::label_of_1035(&word.to_lowercase()).join(",");
            if !wrong.is_empty() {
                let detail = format!("may have mixed case, but should otherwise match: {wrong}");
                errors.push(FieldError::invalid(format!("spec.names.{field}"), &json!(word), detail));
            }
        }
    }
    for list in ["shortNames", "categories"] {
        for (index, word) in items_at(definition, &format!("/spec/names/{list}")).iter().filter_map(Value::as_str).enumerate() {
            faults(errors, &format!("spec.names.{list}[{index}]"), word, names::label_of_1035(word));
        }
    }
    if let (Some(kind), Some(list_kind)) = (name("kind"), name("listKind"))
        && kind == list_kind
    {
        errors.push(FieldError::invalid("spec.names.listKind", &json!(list_kind), "kind and listKind may not be the same"));
    }
}

fn validate_versions(definition: &Value, errors: &mut Vec<FieldError>) {
    let versions = items_at(definition, "/spec/versions");
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let field = format!("spec.versions[{index}]");
        let name = text_at(version, "/name").unwrap_or_default();
        faults(errors, &format!("{field}.name"), name, names::label_of_1035(name));
        if !seen.insert(name) {
            errors.push(FieldError::invalid("spec.versions", &json!(versions), "must contain unique version names"));
        }
    }
    let stored = versions.iter().filter(|version| version.get("storage") == Some(&json!(true))).count();
    if stored != 1 {
        errors.push(FieldError::invalid("spec.versions", &json!(versions), "must have exactly one version marked as storage version"));
    }
    for (index, version) in items_at(definition, "/status/storedVersions").iter().filter_map(Value::as_str).enumerate() {
        if !seen.contains(version) {
            let detail = "missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions";
            errors.push(FieldError::invalid(format!("status.storedVersions[{index}]"), &json!(version), detail.replace("v1", version)));
        }
    }
}
