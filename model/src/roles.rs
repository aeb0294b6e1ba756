//! Who may do what (USER-1). The table stands here and nowhere else; `docs/roles.md` prints it.
//!
//! A [`Grant`] is what the requirement says. [`Action::access`] is what of it Kubernetes can decide today: kinds × verbs. Where a
//! cell of the table needs more than that (a field, a label, an assignment, a kind that does not exist yet), the roles of a cluster
//! withhold it, and [`Cell::unexpressed`] says why: those cells are the dashboard's.

mod access;

pub use access::{Access, Verb, rules};

/// A role of a user (USER-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// May everything but what belongs to remote support of a reseller.
    Administrator,
    /// Sees all customers, and helps with logs and files.
    Support,
    /// Looks after its own customers, restores and users included.
    Supervisor,
    /// Adds customers, and does the daily work on them.
    Operator,
    /// Looks on.
    ReadOnly,
}

impl Role {
    /// Every role, in the order of the table's columns.
    pub const ALL: [Role; 5] = [Role::Administrator, Role::Support, Role::Supervisor, Role::Operator, Role::ReadOnly];

    /// As users know it.
    pub fn title(self) -> &'static str {
        match self {
            Role::Administrator => "Administrator",
            Role::Support => "Support",
            Role::Supervisor => "Supervisor",
            Role::Operator => "Operator",
            Role::ReadOnly => "Read-Only",
        }
    }

    /// Name of its ClusterRole.
    pub fn cluster_role(self) -> &'static str {
        match self {
            Role::Administrator => "switchboard:administrator",
            Role::Support => "switchboard:support",
            Role::Supervisor => "switchboard:supervisor",
            Role::Operator => "switchboard:operator",
            Role::ReadOnly => "switchboard:read-only",
        }
    }

    /// Whether it sees all customers; the others see those assigned to them. In a cluster: bound by a ClusterRoleBinding, the others
    /// by a RoleBinding in each tenancy.
    pub fn sees_all_customers(self) -> bool {
        matches!(self, Role::Administrator | Role::Support)
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Dashboard, alarms, customer list and details.
    View,
    /// Remote support addresses.
    RemoteSupportAddresses,
    /// Launch application.
    LaunchApplication,
    /// Backup.
    Backup,
    /// Restore.
    Restore,
    /// Upgrade.
    Upgrade,
    /// Add, delete customers.
    AddAndDeleteCustomers,
    /// Edit customers.
    EditCustomers,
    /// Provider and reseller of a customer.
    SetProviderAndReseller,
    /// Logs, refresh customization files, resend e-mail.
    FetchRefreshResend,
    /// Clear alarms.
    ClearAlarms,
    /// Customization files, phone and client files, releases, certificates, settings, application center.
    ManageFilesAndSettings,
    /// Create and assign users.
    ManageUsers,
    /// Proxy accounts.
    ManageProxyAccounts,
}

/// What a role may do only within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Customers whose provider or reseller is one of the user's labels; the user is assigned to what it adds.
    OwnLabels,
    /// Contact, tags, notes, service password, and the assignment of its own users.
    SomeFields,
    /// Operator and Read-Only users with its own labels, to systems it is itself assigned to by hand.
    OwnUsers,
    /// Accounts of the resellers and providers that are among the user's labels.
    MatchingLabels,
}

impl Bound {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Bound::OwnLabels => "within its labels; assigned to what it adds",
            Bound::SomeFields => "contact, tags, notes, service password, its own users' assignment",
            Bound::OwnUsers => "Operator and Read-Only users, with its own labels, to systems it is itself assigned to by hand",
            Bound::MatchingLabels => "those matching its labels",
        }
    }
}

/// A cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grant {
    /// It may.
    Yes,
    /// It may not.
    No,
    /// It may within bounds.
    Within(Bound),
}

impl Action {
    /// Every row, in the order of the table.
    pub const ALL: [Action; 14] = [
        Action::View,
        Action::RemoteSupportAddresses,
        Action::LaunchApplication,
        Action::Backup,
        Action::Restore,
        Action::Upgrade,
        Action::AddAndDeleteCustomers,
        Action::EditCustomers,
        Action::SetProviderAndReseller,
        Action::FetchRefreshResend,
        Action::ClearAlarms,
        Action::ManageFilesAndSettings,
        Action::ManageUsers,
        Action::ManageProxyAccounts,
    ];

    /// As the table names it.
    pub fn title(self) -> &'static str {
        match self {
            Action::View => "dashboard, alarms, customer list and details",
            Action::RemoteSupportAddresses => "remote support addresses",
            Action::LaunchApplication => "launch application",
            Action::Backup => "backup",
            Action::Restore => "restore",
            Action::Upgrade => "upgrade",
            Action::AddAndDeleteCustomers => "add, delete customers",
            Action::EditCustomers => "edit customers",
            Action::SetProviderAndReseller => "provider and reseller of a customer",
            Action::FetchRefreshResend => "logs, refresh customization files, resend e-mail",
            Action::ClearAlarms => "clear alarms",
            Action::ManageFilesAndSettings => {
                "customization files, phone and client files, releases, certificates, settings, application center"
            }
            Action::ManageUsers => "create and assign users",
            Action::ManageProxyAccounts => "proxy accounts",
        }
    }
}

/// The table (USER-1): what a role may.
pub fn may(role: Role, action: Action) -> Grant {
    use Grant::{No, Within, Yes};
    // Administrator, Support, Supervisor, Operator, Read-Only.
    let row = match action {
        Action::View => [Yes, Yes, Yes, Yes, Yes],
        Action::RemoteSupportAddresses => [No, No, Yes, Yes, Yes],
        Action::LaunchApplication => [Yes, No, No, Yes, No],
        Action::Backup | Action::Upgrade | Action::ClearAlarms => [Yes, No, Yes, Yes, No],
        Action::Restore => [Yes, No, Yes, No, No],
        Action::AddAndDeleteCustomers => [Yes, No, No, Within(Bound::OwnLabels), No],
        Action::EditCustomers => [Yes, No, Within(Bound::SomeFields), No, No],
        Action::SetProviderAndReseller | Action::ManageFilesAndSettings => [Yes, No, No, No, No],
        Action::FetchRefreshResend => [Yes, Yes, Yes, Yes, No],
        Action::ManageUsers => [Yes, No, Within(Bound::OwnUsers), No, No],
        Action::ManageProxyAccounts => [No, No, Within(Bound::MatchingLabels), Within(Bound::MatchingLabels), No],
    };
    match role {
        Role::Administrator => row[0],
        Role::Support => row[1],
        Role::Supervisor => row[2],
        Role::Operator => row[3],
        Role::ReadOnly => row[4],
    }
}

/// One cell, with what Kubernetes can say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Column.
    pub role: Role,
    /// Row.
    pub action: Action,
    /// What the table says.
    pub grant: Grant,
}

impl Cell {
    /// Every cell, row by row.
    pub fn all() -> impl Iterator<Item = Cell> {
        Action::ALL.into_iter().flat_map(|action| Role::ALL.map(|role| Cell { role, action, grant: may(role, action) }))
    }

    /// Why kinds × verbs cannot say this cell; `None` where they do. What cannot be said is withheld.
    pub fn unexpressed(self) -> Option<&'static str> {
        match (self.grant, self.action.access()) {
            (_, Err(reason)) => Some(reason),
            (Grant::Within(bound), Ok(_)) => Some(match bound {
                Bound::OwnLabels => "a verb knows neither the labels of a user nor whom a customer is assigned to",
                Bound::SomeFields => "a verb covers an object whole, not some of its fields",
                Bound::OwnUsers => "a verb knows neither the labels of a user nor whom a system is assigned to",
                Bound::MatchingLabels => "a verb does not know the labels of a user",
            }),
            (Grant::Yes | Grant::No, Ok(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_roles_look_on_and_read_only_does_nothing_else_but_see_addresses() {
        let granted: Vec<_> = Cell::all().filter(|cell| cell.role == Role::ReadOnly && cell.grant != Grant::No).map(|c| c.action).collect();
        assert_eq!(granted, [Action::View, Action::RemoteSupportAddresses]);
        assert!(Role::ALL.iter().all(|role| may(*role, Action::View) == Grant::Yes));
    }

    #[test]
    fn the_table_has_five_cells_in_each_of_fourteen_rows() {
        assert_eq!(Cell::all().count(), 70);
        assert_eq!(Cell::all().filter(|cell| matches!(cell.grant, Grant::Within(_))).count(), 5);
    }

    #[test]
    fn backups_and_restores_are_ordered_by_whom_the_requirement_names() {
        let who = |action| Role::ALL.into_iter().filter(|role| may(*role, action) == Grant::Yes).collect::<Vec<_>>();
        assert_eq!(who(Action::Backup), [Role::Administrator, Role::Supervisor, Role::Operator]);
        assert_eq!(who(Action::Restore), [Role::Administrator, Role::Supervisor]);
    }

    #[test]
    fn what_is_granted_within_bounds_is_never_expressed() {
        assert!(Cell::all().filter(|cell| matches!(cell.grant, Grant::Within(_))).all(|cell| cell.unexpressed().is_some()));
    }
}
