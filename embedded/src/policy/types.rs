//! What the server says of a policy: which state of it it has seen, and which fields it names that its objects do not have.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::definition::{items, text, variables};
use crate::resource::Resource;
use crate::schema::{Expression, Names, Wanted};

/// Most kinds the expressions of a policy are checked against; the figure is that of Kubernetes.
const MOST_KINDS: usize = 10;

/// Fills in the status of a policy. `known`: all kinds there are.
pub(crate) fn observe<'k>(policy: &mut Value, known: impl Iterator<Item = &'k Arc<Resource>>) {
    let kinds = named_kinds(&policy["spec"], known);
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

/// The kinds that the rules name without an asterisk. Each known kind is looked up in the rules, not the other way round: kinds are few,
/// while a rule stands for every combination of the groups, versions and resources it names, of which a user may write any number.
fn named_kinds<'k>(spec: &Value, known: impl Iterator<Item = &'k Arc<Resource>>) -> Vec<&'k Arc<Resource>> {
    let rules: Vec<Rule<'_>> = items(&spec["matchConstraints"]["resourceRules"]).iter().map(Rule::read).collect();
    let mut kinds: Vec<&Arc<Resource>> = known.filter(|kind| rules.iter().any(|rule| rule.names(kind))).take(MOST_KINDS).collect();
    kinds.sort_by(|one, other| (&one.group, &one.version, &one.kind).cmp(&(&other.group, &other.version, &other.kind)));
    kinds
}

/// The words of a rule.
struct Rule<'r> {
    groups: HashSet<&'r str>,
    versions: HashSet<&'r str>,
    plurals: HashSet<&'r str>,
}

impl<'r> Rule<'r> {
    fn read(rule: &'r Value) -> Self {
        let words = |key: &str| items(&rule[key]).iter().map(text);
        let plural = |resource: &'r str| resource.split('/').next().unwrap_or_default();
        Self {
            groups: words("apiGroups").collect(),
            versions: words("apiVersions").collect(),
            plurals: words("resources").map(plural).collect(),
        }
    }

    fn names(&self, kind: &Resource) -> bool {
        self.groups.contains(kind.group.as_str())
            && self.versions.contains(kind.version.as_str())
            && self.plurals.contains(kind.plural.as_str())
    }
}

fn warnings(spec: &Value, kinds: &[&Arc<Resource>]) -> Vec<Value> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::builtin;

    fn named(rules: &Value) -> Vec<String> {
        let known = builtin::resources();
        let spec = json!({"matchConstraints": {"resourceRules": rules}});
        named_kinds(&spec, known.iter()).iter().map(|kind| format!("{}/{}", kind.api_version(), kind.kind)).collect()
    }

    #[test]
    fn a_rule_stands_for_every_combination_of_its_words_and_an_asterisk_for_none() {
        let one = json!({"apiGroups": ["apps", "batch"], "apiVersions": ["v1", "v2"], "resources": ["deployments/scale", "jobs", "pods"]});
        let other = json!({"apiGroups": [""], "apiVersions": ["v1", "*"], "resources": ["pods", "*", "*/status"]});
        assert_eq!(named(&json!([one, other, one])), ["v1/Pod", "apps/v1/Deployment", "batch/v1/Job"]);
        assert!(named(&json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}])).is_empty());
        assert!(named(&Value::Null).is_empty());
    }

    #[test]
    fn rules_with_thousands_of_words_are_read_once_and_no_more_kinds_are_taken_than_fit() {
        let words = |own: &[&str]| {
            json!((0..20_000).map(|number| format!("x{number}")).chain(own.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>())
        };
        let rule = json!({"apiGroups": words(&["apps"]), "apiVersions": words(&["v1"]), "resources": words(&["deployments"])});
        assert_eq!(named(&json!([rule])), ["apps/v1/Deployment"]);
        let (groups, plurals): (Vec<String>, Vec<String>) =
            builtin::resources().iter().map(|kind| (kind.group.clone(), kind.plural.clone())).unzip();
        assert_eq!(named(&json!([{"apiGroups": groups, "apiVersions": ["v1"], "resources": plurals}])).len(), MOST_KINDS);
    }
}
