//! Outcomes of COM's sign-in to a system. The service user lives on the system, and the system decides.

use serde::{Deserialize, Serialize};

use crate::rights::Right;

/// What the system answers when COM signs in as its service user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum SignInOutcome {
    /// The password was right and the account may be used.
    #[serde(rename_all = "camelCase")]
    Accepted {
        /// Rights the account holds, out of those that COM needs.
        rights: Vec<Right>,
    },
    /// The password was wrong.
    WrongPassword,
    /// There is no such service user.
    UnknownUser,
    /// An administrator switched the account off.
    DisabledByAdministrator,
    /// The account is off, for example because it never had a password.
    Disabled,
    /// Too many wrong passwords: locked for a while.
    LockedTemporarily,
    /// The password has expired.
    PasswordExpired,
    /// The account must be given a new password before it is used.
    NewPasswordRequired,
    /// Too many applications are signed in to the system.
    TooManySessions,
}
