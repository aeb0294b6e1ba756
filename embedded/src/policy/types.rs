//! What the server says of a policy: which state of it it has seen, and which fields it names that its objects do not have.

use std::sync::Arc;

use serde_json::{Value, json};

use super::definition::{items, text, variables};
use crate::resource::Resource;
use crate::schema::{Expression, Names, Wanted};

/// Most kinds the expressions of a policy are checked against; the figure is that of Kubernetes.
const MOST_KINDS: usize = 10;

/// Finds the kind of a group, version and plural.
type Find<'f> = dyn Fn(&str, &str, &str) -> Option<Arc<Resource>> + 'f;

/// Fills in the status of a policy: `find` knows the kinds whose resources its rules name.
pub(crate) fn observe(policy: &mut Value, find: &Find<'_>) {
    let kinds = named_kinds(&policy["spec"], find);
    let warnings = warnings(&policy["spec"], &kinds);
    let mut checking = json!({});
    if !warnings.is_empty() {
        checking["expressionWarnings"] = json!(warnings);
    }
    let generation = policy["metadata"]["generation"].clone();
    if !policy["status"].is_object() {
        policy["status"] = json!({});
    }
    policy["status"]["observedGeneration"] = generation;
    policy["status"]["typeChecking"] = checking;
}

/// The kinds that the rules name without an asterisk.
fn named_kinds(spec: &Value, find: &Find<'_>) -> Vec<Arc<Resource>> {
    let mut kinds: Vec<Arc<Resource>> = Vec::new();
    for rule in items(&spec["matchConstraints"]["resourceRules"]) {
        for group in items(&rule["apiGroups"]) {
            for version in items(&rule["apiVersions"]) {
                for resource in items(&rule["resources"]) {
                    let plural = text(resource).split('/').next().unwrap_or_default();
                    let found = find(text(group), text(version), plural);
                    kinds.extend(found.filter(|found| !kinds.iter().any(|known| Arc::ptr_eq(known, found))));
                }
            }
        }
    }
    kinds.sort_by_key(|kind| (kind.group.clone(), kind.version.clone(), kind.kind.clone()));
    kinds.truncate(MOST_KINDS);
    kinds
}

fn warnings(spec: &Value, kinds: &[Arc<Resource>]) -> Vec<Value> {
    let (named, _) = variables(spec);
    let params = spec["paramKind"].is_object();
    let mut warnings = Vec::new();
    for (index, validation) in items(&spec["validations"]).iter().enumerate() {
        for (key, wanted) in [("expression", Wanted::Bool), ("messageExpression", Wanted::Text)] {
            let names = Names { params, authorizer: true, variables: Some(&named) };
            let Ok(expression) = Expression::compile(text(&validation[key]), &names, wanted) else { continue };
            let told: Vec<String> = kinds.iter().filter_map(|kind| warning(&expression, kind)).collect();
            if !told.is_empty() {
                warnings.push(json!({"fieldRef": format!("spec.validations[{index}].{key}"), "warning": told.join("\n")}));
            }
        }
    }
    warnings
}

fn warning(expression: &Expression, kind: &Resource) -> Option<String> {
    let fields = expression.unknown_fields(kind.schema());
    let title = if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) };
    (!fields.is_empty()).then(|| format!("{title}, Kind={}: {}", kind.kind, fields.join("\n")))
}
