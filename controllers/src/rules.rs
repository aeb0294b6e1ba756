//! Rights: what the operator needs and no more, and what the roles of people are. The chart and `switchboard up` make the same ClusterRoles of them.

pub mod chart;
pub mod people;

use k8s_openapi::api::rbac::v1::PolicyRule;

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule { api_groups: Some(own(groups)), resources: Some(own(resources)), verbs: own(verbs), ..PolicyRule::default() }
}

fn named(groups: &[&str], resources: &[&str], names: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule { resource_names: Some(own(names)), ..rule(groups, resources, verbs) }
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// All that the operator does with customers and systems, wherever they are.
pub fn operator() -> Vec<PolicyRule> {
    [tenancy(), whole_cluster()].concat()
}

/// Of that, what it does in the namespace of a tenancy: bound there by a RoleBinding, it reads no Secret of any other namespace.
pub fn tenancy() -> Vec<PolicyRule> {
    let kinds = ["customers", "ipoffices", "registrations", "backups", "restores"];
    let mut rules = kinds_with_status(&kinds);
    rules.extend([
        // Systems nobody declared are registered, and approved ones made.
        rule(&[crds::GROUP], &["registrations", "ipoffices"], &["create"]),
        // Of the finished ones the newest stay.
        rule(&[crds::GROUP], &["backups", "restores"], &["delete"]),
        // Subscriptions are written, passwords of service users read; watched as metadata.
        rule(&[""], &["secrets"], &["get", "list", "watch", "create", "patch"]),
        rule(&["events.k8s.io"], &["events"], &["create", "patch"]),
    ]);
    rules
}

/// Of that, what belongs to no namespace. Events about a store are written in the namespace `default`.
pub fn whole_cluster() -> Vec<PolicyRule> {
    let mut rules = kinds_with_status(&["objectstores"]);
    rules.push(rule(&["events.k8s.io"], &["events"], &["create", "patch"]));
    rules
}

fn kinds_with_status(kinds: &[&str]) -> Vec<PolicyRule> {
    let parts = |part: &str| kinds.iter().map(|kind| format!("{kind}/{part}")).collect::<Vec<_>>();
    let of =
        |resources: Vec<String>, verbs: &[&str]| rule(&[crds::GROUP], &resources.iter().map(String::as_str).collect::<Vec<_>>(), verbs);
    vec![
        // Finalizers are set and removed by patches of the objects themselves.
        rule(&[crds::GROUP], kinds, &["get", "list", "watch", "patch"]),
        of(parts("status"), &["patch"]),
        of(parts("finalizers"), &["update"]),
    ]
}

/// What several replicas do in their own namespace: elect one of them, find each other, and keep the authority that systems trust.
/// `name` is the operator's `--name`.
pub fn own_namespace(name: &str) -> Vec<PolicyRule> {
    vec![
        // Who leads, and who is there. Those of replicas that are long gone are deleted.
        rule(&["coordination.k8s.io"], &["leases"], &["get", "list", "watch", "create", "update", "delete"]),
        // Made once, never overwritten. What is to be made has no name yet that a rule could know.
        rule(&[""], &["secrets"], &["create"]),
        named(&[""], &["secrets"], &[&format!("{name}-authority")], &["get"]),
    ]
}

/// For simulated systems.
pub fn simulation() -> Vec<PolicyRule> {
    vec![
        rule(&[crds::SIMULATION_GROUP], &["simulatedsystems"], &["get", "list", "watch"]),
        rule(&[crds::SIMULATION_GROUP], &["simulatedsystems/status"], &["patch"]),
        rule(&[crds::SIMULATION_GROUP], &["simulatedsystems/finalizers"], &["update"]),
        rule(&[""], &["pods"], &["get", "list", "watch", "create", "patch", "delete"]),
        rule(&[""], &["configmaps"], &["get", "list", "watch", "create", "patch"]),
        rule(&[""], &["persistentvolumeclaims"], &["get", "create"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_right_is_given_by_a_wildcard() {
        for rule in [operator(), simulation(), own_namespace("switchboard")].concat() {
            let words = [rule.api_groups, rule.resources, Some(rule.verbs)].into_iter().flatten().flatten();
            assert!(words.into_iter().all(|word| !word.contains('*')));
        }
    }

    #[test]
    fn of_its_own_namespace_it_reads_one_secret_only() {
        let reads = |rule: &PolicyRule| {
            rule.resources.iter().flatten().any(|resource| resource == "secrets") && rule.verbs.iter().any(|verb| verb != "create")
        };
        let names: Vec<_> = own_namespace("com").into_iter().filter(reads).map(|rule| rule.resource_names.unwrap_or_default()).collect();
        assert_eq!(names, [["com-authority"]]);
    }
}
