//! Nobody gives rights away that he does not have.
//!
//! As in Kubernetes: whoever writes a role must have all that it allows, or the verb `escalate` on it; whoever writes a binding must have
//! all that its role allows, or the verb `bind` on the role.

use serde_json::{Value, json};

use super::authorize::{Attributes, Decision};
use super::{Api, metadata};
use crate::resource::Resource;
use crate::status::Status;
use crate::user::{MASTERS, User};

const GROUP: &str = "rbac.authorization.k8s.io";

/// What a write would let somebody do.
enum Grant {
    Nothing,
    /// The rules that a role has from now on.
    Rules(Value),
    /// The rules of the role that a binding names.
    Role {
        plural: &'static str,
        name: String,
    },
}

impl Api {
    /// Refuses a role or binding, new or changed from `old`, that gives away more than the user has.
    pub(super) fn refuse_escalation(&self, user: &User, resource: &Resource, old: Option<&Value>, new: &Value) -> Result<(), Status> {
        if resource.group != GROUP || user.is_in(MASTERS) {
            return Ok(());
        }
        let namespace = if resource.namespaced { metadata::text(new, "namespace") } else { "" };
        let name = metadata::text(new, "name");
        let may = |verb: &str, resource: &str, name: &str| {
            let asked = Attributes {
                verb: verb.into(),
                group: GROUP.into(),
                version: "*".into(),
                resource: resource.into(),
                namespace: namespace.into(),
                name: name.into(),
                ..Attributes::default()
            };
            matches!(self.authorizer().authorize(user, &asked), Decision::Allow(_))
        };
        let rules = match granted(resource, old, new) {
            Grant::Nothing => return Ok(()),
            Grant::Rules(_) if may("escalate", &resource.plural, name) => return Ok(()),
            Grant::Rules(rules) => rules,
            Grant::Role { plural, name } if may("bind", plural, &name) => return Ok(()),
            Grant::Role { plural, name } => {
                let role_namespace = if plural == "roles" { namespace } else { "" };
                let rules = self.authorizer().role_rules(role_namespace, &name);
                rules.ok_or_else(|| Status::not_found(GROUP, plural, &name))?
            }
        };
        let missing = self.authorizer().missing(user, namespace, &rules);
        if missing.is_empty() {
            return Ok(());
        }
        let plural = super::qualified(&resource.plural, GROUP);
        let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
        let text = format!(
            "{plural} {name:?} is forbidden: user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            groups.join(" "),
            missing.join("\n")
        );
        Err(Status::new(403, "Forbidden", text).about(GROUP, &resource.plural, name))
    }
}

fn granted(resource: &Resource, old: Option<&Value>, new: &Value) -> Grant {
    let same = |key: &str| old.is_some_and(|old| old[key] == new[key]);
    if resource.kind.ends_with("Binding") {
        if old.is_some_and(|old| same_but_for_ends(old, new)) {
            return Grant::Nothing;
        }
        let plural = if new["roleRef"]["kind"] == "Role" { "roles" } else { "clusterroles" };
        return Grant::Role { plural, name: new["roleRef"]["name"].as_str().unwrap_or_default().to_owned() };
    }
    if same("rules") && same("aggregationRule") {
        return Grant::Nothing;
    }
    // What an aggregated role will one day allow nobody can say: it takes all rights to write one.
    if new["aggregationRule"].is_object() {
        return Grant::Rules(json!([
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]}
        ]));
    }
    Grant::Rules(new["rules"].clone())
}

/// Whether two states differ at most in what the garbage collector changes: it must be able to end a binding that gives more than it has.
fn same_but_for_ends(old: &Value, new: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut object = object.clone();
        for key in ["finalizers", "ownerReferences", "managedFields", "resourceVersion"] {
            metadata::of(&mut object).remove(key);
        }
        object
    };
    stripped(old) == stripped(new)
}
