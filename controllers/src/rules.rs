//! The rights the controllers need, and no more. The chart and `switchboard up` make the same ClusterRole of them.

use k8s_openapi::api::rbac::v1::PolicyRule;

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule { api_groups: Some(own(groups)), resources: Some(own(resources)), verbs: own(verbs), ..PolicyRule::default() }
}

/// For customers and systems.
pub fn operator() -> Vec<PolicyRule> {
    let kinds = ["customers", "ipoffices", "registrations", "objectstores", "backups", "restores"];
    let parts = |part: &str| kinds.map(|kind| format!("{kind}/{part}"));
    let (statuses, finalizers) = (parts("status"), parts("finalizers"));
    vec![
        // Finalizers are set and removed by patches of the objects themselves.
        rule(&[crds::GROUP], &kinds, &["get", "list", "watch", "patch"]),
        rule(&[crds::GROUP], &statuses.each_ref().map(String::as_str), &["patch"]),
        rule(&[crds::GROUP], &finalizers.each_ref().map(String::as_str), &["update"]),
        // Systems nobody declared are registered, and approved ones made.
        rule(&[crds::GROUP], &["registrations", "ipoffices"], &["create"]),
        // Of the finished ones the newest stay.
        rule(&[crds::GROUP], &["backups", "restores"], &["delete"]),
        // Subscriptions are written, passwords of service users read; watched as metadata.
        rule(&[""], &["secrets"], &["get", "list", "watch", "create", "patch"]),
        rule(&["events.k8s.io"], &["events"], &["create", "patch"]),
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
