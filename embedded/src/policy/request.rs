//! A request as policies see it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::resource::Resource;
use crate::schema::Authority;
use crate::user::User;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Makes an object.
    Create,
    /// Changes one.
    Update,
    /// Deletes one.
    Delete,
    /// Opens a connection, such as `exec`.
    Connect,
}

impl Operation {
    /// As rules and requests write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// Group, version and kind of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectKind {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// A request that passed authorization and all rules of the kind.
pub(crate) struct Request<'a> {
    /// What it does.
    pub operation: Operation,
    /// To objects of which kind.
    pub resource: &'a Resource,
    /// `status`, `scale`, … or empty.
    pub subresource: &'a str,
    /// The kind of what it carries, where that is another than the kind of the object (`Scale`, `Eviction`, …).
    pub carries: Option<ObjectKind>,
    /// Namespace; for a namespace itself its own name.
    pub namespace: &'a str,
    /// Name in the request; empty where the server makes one up and in the deletion of a collection.
    pub name: &'a str,
    /// The object as it shall be; none in a deletion.
    pub object: Option<&'a Value>,
    /// The object as it was; none in a creation.
    pub old: Option<&'a Value>,
    /// Who asks.
    pub user: &'a User,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
    /// `CreateOptions`, `UpdateOptions`, …
    pub options: &'a Value,
}

/// What the evaluation of policies needs to know of the rest of the cluster.
pub(crate) trait Cluster {
    /// The namespace of that name.
    fn namespace(&self, name: &str) -> Option<Value>;
    /// One object of a kind as parameter of a policy.
    fn param(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Option<Value>;
    /// All objects of a kind, in one namespace or everywhere.
    fn params(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Value>;
    /// The kind behind `apiVersion` and `kind`.
    fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Resource>>;
    /// The same kind in other versions and groups.
    fn equivalents(&self, resource: &Resource) -> Vec<Arc<Resource>>;
    /// An object in the version of another resource of the same kind.
    fn converted(&self, resource: &Resource, object: &Value) -> Value;
    /// Who answers what a user may do.
    fn authority(&self, user: &User) -> Arc<dyn Authority>;
}

impl Request<'_> {
    /// Whether the object is a namespace.
    pub fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.kind == "Namespace"
    }

    /// What the request carries, as one of the equivalent resources has it.
    pub fn kind_as(&self, resource: &Resource) -> ObjectKind {
        self.carries.clone().unwrap_or_else(|| ObjectKind {
            group: resource.group.clone(),
            version: resource.version.clone(),
            kind: resource.kind.clone(),
        })
    }

    /// The variable `request`; `matched` is the resource a policy's rule named. Empty texts are left out.
    pub fn describe(&self, matched: &Resource) -> Value {
        let kind = |resource: &Resource| {
            let kind = self.kind_as(resource);
            json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
        };
        let resource = |resource: &Resource| json!({"group": resource.group, "version": resource.version, "resource": resource.plural});
        let mut request = json!({
            "kind": kind(matched), "resource": resource(matched), "requestKind": kind(self.resource), "requestResource": resource(self.resource),
            "operation": self.operation.word(), "dryRun": self.dry_run, "options": self.options, "userInfo": user_info(self.user)
        });
        let texts = [
            ("subResource", self.subresource),
            ("requestSubResource", self.subresource),
            ("name", self.name),
            ("namespace", self.namespace),
        ];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            request[key] = json!(text);
        }
        request
    }
}

fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    for (key, text) in [("username", &user.name), ("uid", &user.uid)] {
        if !text.is_empty() {
            info.insert(key.to_owned(), json!(text));
        }
    }
    if !user.groups.is_empty() {
        info.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}
