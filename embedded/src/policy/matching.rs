//! Which requests a policy or a binding is about (`MatchResources`).

use serde_json::{Map, Value};

use super::definition::{items, labels, text};
use super::request::{Cluster, Operation, Request};
use crate::builtin::selectors;
use crate::resource::Resource;

/// `MatchResources`.
pub(super) struct Matches {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    namespaces: Value,
    objects: Value,
    /// Whether a rule for one version of a kind is about its other versions too.
    equivalent: bool,
}

/// `NamedRuleWithOperations`.
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    scope: String,
}

impl Matches {
    /// Reads it; what is absent matches everything.
    pub fn read(value: &Value) -> Self {
        let rules = |key: &str| items(&value[key]).iter().map(Rule::read).collect();
        Self {
            rules: rules("resourceRules"),
            excluded: rules("excludeResourceRules"),
            namespaces: value["namespaceSelector"].clone(),
            objects: value["objectSelector"].clone(),
            equivalent: value["matchPolicy"] != "Exact",
        }
    }

    /// Whether a request is among those: then its resource as a rule named it, `None` standing for the request's own.
    ///
    /// # Errors
    /// It cannot be told, because the namespace is not there.
    pub fn find(&self, request: &Request, cluster: &dyn Cluster) -> Result<Option<Matched>, String> {
        if !self.takes_objects(request) || self.rule_for(&self.excluded, request, cluster).is_some() {
            return Ok(None);
        }
        let matched = if self.rules.is_empty() { Some(Matched::Own) } else { self.rule_for(&self.rules, request, cluster) };
        match matched {
            Some(matched) if self.takes_namespace(request, cluster)? => Ok(Some(matched)),
            _ => Ok(None),
        }
    }

    fn rule_for(&self, rules: &[Rule], request: &Request, cluster: &dyn Cluster) -> Option<Matched> {
        if rules.iter().any(|rule| rule.takes(request, request.resource)) {
            return Some(Matched::Own);
        }
        if !self.equivalent || rules.is_empty() {
            return None;
        }
        let other = cluster.equivalents(request.resource).into_iter().find(|other| rules.iter().any(|rule| rule.takes(request, other)));
        other.map(Matched::Other)
    }

    fn takes_objects(&self, request: &Request) -> bool {
        let selects = |object: Option<&Value>| object.is_some_and(|object| selectors::matches(&self.objects, &labels(object)));
        selectors::is_empty(&self.objects) || selects(request.object) || selects(request.old)
    }

    fn takes_namespace(&self, request: &Request, cluster: &dyn Cluster) -> Result<bool, String> {
        if selectors::is_empty(&self.namespaces) || (request.namespace.is_empty() && !request.is_namespace()) {
            return Ok(true);
        }
        let labels = self.namespace_labels(request, cluster)?;
        Ok(selectors::matches(&self.namespaces, &labels))
    }

    fn namespace_labels(&self, request: &Request, cluster: &dyn Cluster) -> Result<Map<String, Value>, String> {
        let changes = request.is_namespace() && request.subresource.is_empty() && request.operation != Operation::Delete;
        if let Some(object) = request.object.filter(|_| changes) {
            return Ok(labels(object));
        }
        let namespace = cluster.namespace(request.namespace).ok_or_else(|| format!("namespaces {:?} not found", request.namespace))?;
        Ok(labels(&namespace))
    }
}

/// The resource that a rule named.
pub(super) enum Matched {
    /// That of the request.
    Own,
    /// The same kind in another version or group.
    Other(std::sync::Arc<Resource>),
}

impl Rule {
    fn read(value: &Value) -> Self {
        let texts = |key: &str| items(&value[key]).iter().map(|text_of| text(text_of).to_owned()).collect();
        Self {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            scope: text(&value["scope"]).to_owned(),
        }
    }

    /// Whether a request is meant, its resource taken for `resource`.
    fn takes(&self, request: &Request, resource: &Resource) -> bool {
        self.takes_scope(request)
            && lists(&self.operations, request.operation.word())
            && lists(&self.groups, &resource.group)
            && lists(&self.versions, &resource.version)
            && self.resources.iter().any(|written| takes_resource(written, &resource.plural, request.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == request.name))
    }

    fn takes_scope(&self, request: &Request) -> bool {
        let inside = !request.is_namespace() && !request.namespace.is_empty();
        match self.scope.as_str() {
            "Namespaced" => inside,
            "Cluster" => !inside,
            _ => true,
        }
    }
}

fn lists(words: &[String], word: &str) -> bool {
    words.iter().any(|listed| listed == "*" || listed == word)
}

/// `pods`, `pods/status`, `pods/*`, `*`, `*/scale`, `*/*`; without a slash only the object itself is meant.
fn takes_resource(written: &str, plural: &str, subresource: &str) -> bool {
    let (resource, sub) = written.split_once('/').unwrap_or((written, ""));
    (resource == "*" || resource == plural) && (sub == "*" || sub == subresource)
}
