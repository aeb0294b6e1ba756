//! Rules of roles, and whether one covers a request.

use serde_json::{Value, json};

use crate::api::authorize::Attributes;

/// One entry of a role's `rules`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) verbs: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) paths: Vec<String>,
}

/// All entries of a list of rules.
pub(super) fn parse_list(rules: &Value) -> Vec<Rule> {
    rules.as_array().into_iter().flatten().map(Rule::parse).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

impl Rule {
    pub(super) fn parse(value: &Value) -> Self {
        Self {
            verbs: texts(&value["verbs"]),
            groups: texts(&value["apiGroups"]),
            resources: texts(&value["resources"]),
            names: texts(&value["resourceNames"]),
            paths: texts(&value["nonResourceURLs"]),
        }
    }

    pub(super) fn parse_all(role: &Value) -> Vec<Self> {
        parse_list(&role["rules"])
    }

    /// As an entry of a role's `rules`.
    pub(super) fn to_value(&self) -> Value {
        json!({
            "verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources, "resourceNames": self.names,
            "nonResourceURLs": self.paths
        })
    }

    /// Whether the rule covers a request.
    pub(super) fn covers(&self, request: &Attributes) -> bool {
        if !has(&self.verbs, &request.verb) {
            return false;
        }
        if request.resource.is_empty() {
            return self.covers_path(&request.path);
        }
        has(&self.groups, &request.group)
            && self.covers_resource(&request.resource, &request.subresource)
            && self.covers_name(&request.name)
    }

    /// `pods` covers no subresource, `pods/log` one, `*/scale` that of every resource, `*` everything.
    fn covers_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|entry| match entry.split_once('/') {
            None => entry == "*" || (entry == resource && subresource.is_empty()),
            Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == "*" || of == resource),
        })
    }

    /// A rule for certain names never covers a request that names none (create, list).
    fn covers_name(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|entry| entry == name)
    }

    fn covers_path(&self, path: &str) -> bool {
        self.paths.iter().any(|entry| match entry.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => entry == path,
        })
    }

    /// As an entry of `resourceRules` of a review; `None` for a rule about paths.
    pub(super) fn resource_review(&self) -> Option<Value> {
        if self.resources.is_empty() {
            return None;
        }
        let mut rule = json!({"verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources});
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        Some(rule)
    }

    /// As an entry of `nonResourceRules` of a review; `None` for a rule about resources.
    pub(super) fn path_review(&self) -> Option<Value> {
        (!self.paths.is_empty()).then(|| json!({"verbs": self.verbs, "nonResourceURLs": self.paths}))
    }
}
