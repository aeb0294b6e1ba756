//! Who asks.

use std::collections::BTreeMap;

/// Group whose members may do everything.
pub const MASTERS: &str = "system:masters";
/// Group of everyone who proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of everyone who did not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Group of all service accounts; with `:<namespace>` appended, of those of one namespace.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// A person or program, as authentication found it and as authorization and `SelfSubjectReview` see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Name, for example `system:serviceaccount:default:builder`.
    pub name: String,
    /// Identity that outlives a name; empty where there is none.
    pub uid: String,
    /// Groups, `system:authenticated` or `system:unauthenticated` included.
    pub groups: Vec<String>,
    /// Further facts, for example the pod a token was issued for.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A signed-in user with these groups and `system:authenticated`.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().chain([AUTHENTICATED]).map(str::to_owned).collect();
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// The administrator of this machine's control plane: may do everything.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &[MASTERS])
    }

    /// Whoever brings no credentials.
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..Self::default() }
    }

    /// A service account, with the groups Kubernetes puts it in.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let own = format!("{SERVICE_ACCOUNTS}:{namespace}");
        let user = Self::new(format!("system:serviceaccount:{namespace}:{name}"), &[SERVICE_ACCOUNTS, &own]);
        Self { uid: uid.to_owned(), ..user }
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}
