//! ClusterRoles of people: the table of USER-1 as far as kinds and verbs can say it.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::ObjectMeta;
use model::roles::{Access, Role, Verb, rules};

/// One ClusterRole for each role.
///
/// Those who view, edit or administrate a namespace by the cluster's own roles get what looks on, orders, and manages there.
pub fn cluster_roles() -> Vec<ClusterRole> {
    Role::ALL
        .into_iter()
        .map(|role| ClusterRole {
            metadata: ObjectMeta {
                name: Some(role.cluster_role().to_owned()),
                labels: aggregate(role).map(|to| BTreeMap::from([(to.to_owned(), "true".to_owned())])),
                annotations: Some(BTreeMap::from([("switchboard.dev/role".to_owned(), role.title().to_owned())])),
                ..ObjectMeta::default()
            },
            rules: Some(rules(role).iter().map(policy_rule).collect()),
            ..ClusterRole::default()
        })
        .collect()
}

/// Into which role of the cluster a role goes. Support is Read-Only in kinds and verbs today, Operator less than Supervisor.
fn aggregate(role: Role) -> Option<&'static str> {
    match role {
        Role::Administrator => Some("rbac.authorization.k8s.io/aggregate-to-admin"),
        Role::Supervisor => Some("rbac.authorization.k8s.io/aggregate-to-edit"),
        Role::ReadOnly => Some("rbac.authorization.k8s.io/aggregate-to-view"),
        Role::Support | Role::Operator => None,
    }
}

fn policy_rule(access: &Access) -> PolicyRule {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![access.group.to_owned()]),
        resources: Some(own(access.resources)),
        verbs: access.verbs.iter().copied().map(Verb::name).map(str::to_owned).collect(),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_added_to_the_roles_of_a_cluster_reads_secrets() {
        for role in cluster_roles() {
            for rule in role.rules.into_iter().flatten() {
                assert!(rule.resources.into_iter().flatten().all(|resource| resource != "secrets"));
            }
        }
    }

    #[test]
    fn names_of_kinds_in_the_table_are_names_of_kinds() {
        let kinds: Vec<_> = crds::generate::all().into_iter().map(|kind| (kind.spec.group, kind.spec.names.plural)).collect();
        for access in Role::ALL.into_iter().flat_map(rules).filter(|access| access.group.ends_with("switchboard.dev")) {
            for resource in access.resources {
                assert!(kinds.contains(&(access.group.to_owned(), (*resource).to_owned())), "{resource} is no kind of {}", access.group);
            }
        }
    }
}
