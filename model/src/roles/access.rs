//! What of the table kinds × verbs can express today, as plain data.

use super::{Action, Cell, Grant, Role};

/// A verb of the Kubernetes API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read all.
    List,
    /// Follow them.
    Watch,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change one.
    Patch,
    /// Delete one.
    Delete,
}

impl Verb {
    /// As in a PolicyRule.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// Verbs on kinds of one API group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Kinds as in a URL.
    pub resources: &'static [&'static str],
    /// What may be done with them.
    pub verbs: &'static [Verb],
}

const GROUP: &str = "switchboard.dev";
const SIMULATION: &str = "simulation.switchboard.dev";
const READ: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];
/// What ordering an action takes: `kubectl create`, `apply`, pausing and stopping, and calling off. Job control needs the right of
/// the action (JOB-4), so it is no row of its own.
const ORDER: &[Verb] = &[Verb::Create, Verb::Update, Verb::Patch, Verb::Delete];
const CHANGE: &[Verb] = &[Verb::Update, Verb::Patch];
/// The kinds that say what customers and systems there are.
const FLEET: &[&str] = &["customers", "ipoffices", "registrations"];

const fn access(group: &'static str, resources: &'static [&'static str], verbs: &'static [Verb]) -> Access {
    Access { group, resources, verbs }
}

impl Action {
    /// What this row is in kinds × verbs, or why it is nothing of the kind.
    ///
    /// # Errors
    /// Why kinds and verbs cannot say it today.
    pub fn access(self) -> Result<&'static [Access], &'static str> {
        const VIEW: &[Access] = &[
            access(GROUP, &["customers", "ipoffices", "registrations", "backups", "restores"], READ),
            access(SIMULATION, &["simulatedsystems"], READ),
            // What happened to an object: `kubectl describe` reads the one, `kubectl events` and others the other.
            access("", &["events"], READ),
            access("events.k8s.io", &["events"], READ),
        ];
        const BACKUP: &[Access] = &[access(GROUP, &["backups"], ORDER)];
        const RESTORE: &[Access] = &[access(GROUP, &["restores"], ORDER)];
        // Approving a registration adds a system, so registrations are changed by whoever may add.
        const ADD: &[Access] = &[
            access(GROUP, FLEET, &[Verb::Create, Verb::Delete]),
            access(SIMULATION, &["simulatedsystems"], &[Verb::Create, Verb::Delete]),
        ];
        const EDIT: &[Access] = &[access(GROUP, FLEET, CHANGE), access(SIMULATION, &["simulatedsystems"], CHANGE)];
        const PROVIDER: &[Access] = &[access(GROUP, &["customers"], CHANGE)];
        // Of what the row names, where archives are kept is the one thing that is a kind today.
        const SETTINGS: &[Access] = &[access(
            GROUP,
            &["objectstores"],
            &[Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete],
        )];
        match self {
            Action::View => Ok(VIEW),
            Action::Backup => Ok(BACKUP),
            Action::Restore => Ok(RESTORE),
            Action::AddAndDeleteCustomers => Ok(ADD),
            Action::EditCustomers => Ok(EDIT),
            Action::SetProviderAndReseller => Ok(PROVIDER),
            Action::ManageFilesAndSettings => Ok(SETTINGS),
            Action::RemoteSupportAddresses => Err("the addresses are no object of the API; the dashboard makes them"),
            Action::LaunchApplication => Err("launching is a connection through the dashboard, not an object of the API"),
            Action::Upgrade => Err("there is no kind for upgrades yet"),
            Action::FetchRefreshResend => Err("there are no kinds yet for fetching logs, refreshing files and sending e-mail again"),
            Action::ClearAlarms => Err("there is no kind for alarms yet"),
            Action::ManageUsers => Err("there is no kind for users yet; people of a cluster are bound to roles by its administrators"),
            Action::ManageProxyAccounts => Err("there is no kind for proxy accounts yet"),
        }
    }
}

/// The rules of a role's ClusterRole: what the table grants without bounds and kinds × verbs can say, row by row.
///
/// No role reads or writes Secrets: bound in the whole cluster that would be the keys of all of it. Passwords are given to people
/// by the cluster's own means, in the tenancy they work in.
pub fn rules(role: Role) -> Vec<Access> {
    let granted = Cell::all().filter(|cell| cell.role == role && cell.grant == Grant::Yes).filter_map(|cell| cell.action.access().ok());
    let mut all: Vec<Access> = Vec::new();
    for access in granted.flatten() {
        if !all.contains(access) && !all.iter().any(|other| covers(other, access)) {
            all.push(*access);
        }
    }
    all
}

fn covers(wide: &Access, narrow: &Access) -> bool {
    wide.group == narrow.group
        && narrow.resources.iter().all(|resource| wide.resources.contains(resource))
        && narrow.verbs.iter().all(|verb| wide.verbs.contains(verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(role: Role, resource: &str, verb: Verb) -> bool {
        rules(role).iter().any(|access| access.resources.contains(&resource) && access.verbs.contains(&verb))
    }

    #[test]
    fn no_role_touches_secrets_or_what_people_are_bound_to() {
        for role in Role::ALL {
            for resource in ["secrets", "rolebindings", "clusterrolebindings", "serviceaccounts", "pods"] {
                assert!(rules(role).iter().all(|access| !access.resources.contains(&resource)), "{role:?} {resource}");
            }
        }
    }

    #[test]
    fn only_administrators_touch_stores_customers_and_systems() {
        for role in Role::ALL {
            for (resource, verb) in [("objectstores", Verb::Get), ("customers", Verb::Create), ("ipoffices", Verb::Patch)] {
                assert_eq!(allows(role, resource, verb), role == Role::Administrator, "{role:?} {verb:?} {resource}");
            }
        }
    }

    #[test]
    fn rules_say_for_every_cell_what_the_table_says() {
        for cell in Cell::all() {
            let Ok(accesses) = cell.action.access() else { continue };
            for access in accesses {
                for (resource, verb) in access.resources.iter().flat_map(|resource| access.verbs.iter().map(move |verb| (resource, verb))) {
                    assert_eq!(
                        allows(cell.role, resource, *verb),
                        cell.grant == Grant::Yes,
                        "{:?} {:?} {verb:?} {resource}",
                        cell.role,
                        cell.action
                    );
                }
            }
        }
    }
}
