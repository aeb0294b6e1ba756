//! May this user do this? The question as the API asks it; role-based access control answers it in [`crate::server`].

use crate::user::{MASTERS, User};

/// One request, as authorization sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for paths that are no resource, the HTTP method in lower case.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural of the resource; empty for a path that is no resource.
    pub resource: String,
    /// Subresource such as `status`, or empty.
    pub subresource: String,
    /// Namespace; empty for cluster-scoped resources and for requests across all namespaces.
    pub namespace: String,
    /// Object name; empty for collections.
    pub name: String,
    /// The path, for requests that are about no resource (`/version`).
    pub path: String,
}

/// The answer to [`Authorizer::authorize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead. The text says which rule allowed it (it may be empty).
    Allow(String),
    /// No rule allows it. The text is appended to the error where it is not empty.
    Deny(String),
}

/// Decides what users may do.
pub trait Authorizer: Send + Sync {
    /// Whether `user` may do what `attributes` describe.
    fn authorize(&self, user: &User, attributes: &Attributes) -> Decision;

    /// Which of `rules` (the `rules` of a role) `user` does not have in `namespace` (empty: everywhere), each in words; empty if none.
    fn missing(&self, user: &User, namespace: &str, rules: &serde_json::Value) -> Vec<String> {
        let _ = namespace;
        let all = rules.as_array().filter(|_| !user.is_in(MASTERS));
        all.into_iter().flatten().map(ToString::to_string).collect()
    }

    /// The `rules` of the `Role` of that name in `namespace`, or of the `ClusterRole` where that is empty; `None` if there is no such role.
    fn role_rules(&self, namespace: &str, name: &str) -> Option<serde_json::Value> {
        let _ = (namespace, name);
        None
    }

    /// The rules that hold for `user` in `namespace`, as `status` of a `SelfSubjectRulesReview`.
    fn rules(&self, user: &User, namespace: &str) -> serde_json::Value {
        let _ = namespace;
        let all = user.is_in(MASTERS);
        let resource =
            if all { serde_json::json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]) } else { serde_json::json!([]) };
        let path = if all { serde_json::json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]) } else { serde_json::json!([]) };
        serde_json::json!({"resourceRules": resource, "nonResourceRules": path, "incomplete": false})
    }
}

/// Allows everything to members of `system:masters` and nothing to anyone else: what holds until another authorizer is set.
#[derive(Debug, Clone, Copy, Default)]
pub struct MastersOnly;

impl Authorizer for MastersOnly {
    fn authorize(&self, user: &User, _: &Attributes) -> Decision {
        if user.is_in(MASTERS) { Decision::Allow(String::new()) } else { Decision::Deny(String::new()) }
    }
}

/// For whom a token is issued.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// Namespace of the service account.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Name and uid of the pod with which the token ends.
    pub pod: Option<(&'a str, &'a str)>,
}

/// Issues and reads the bearer tokens of service accounts.
pub trait Tokens: Send + Sync {
    /// A token for a service account, with the time it ends (RFC 3339).
    fn issue(&self, bearer: &Bearer<'_>, audiences: &[String], seconds: i64) -> Result<(String, String), crate::status::Status>;
    /// Whom a token stands for, if it is valid.
    fn user(&self, token: &str) -> Option<User>;
}
