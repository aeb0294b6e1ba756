//! Colours and messages of a system's connection (FLEET-4, FLEET-5): causes in, one message and one colour out.
//!
//! Where several messages hold, the one that blocks most is shown. The order, first match wins:
//!
//! | # | cause | message | colour |
//! |---|---|---|---|
//! | 1 | never connected | `Waiting for initial connection` | red |
//! | 2 | connected, but what answers does not speak the protocol | `Connection failed` | red |
//! | 3 | said goodbye to reboot for an upgrade or restore, or says that it is no primary | `System is either not reachable or not a valid primary IP Office system` | red |
//! | 4 | not connected | `System is either not reachable or offline for last <duration>` | red |
//! | 5 | COM holds no credentials | `No authorization provided. Limited functionality will be available for the customer.` | amber |
//! | 6 | unknown service user | `Invalid credentials` | amber |
//! | 7 | switched off by an administrator | `Service user account has been disabled by the administrator` | amber |
//! | 8 | off | `Service user account is currently disabled` | amber |
//! | 9 | locked | `Service user account has been locked temporarily` | amber |
//! | 10 | wrong password | `Authorization failed` | amber |
//! | 11 | password expired | `Service User password has expired.` | amber |
//! | 12 | new password demanded | `New password is required for Service Use account` | amber |
//! | 13 | too many sessions | `Maximum concurrent sessions limit has been exceeded` | amber |
//! | 14 | no right at all | `No user rights are enable for this system` | amber |
//! | 15 | no Service Monitor Read | `Service Monitor Read rights not enabled` | amber |
//! | 16 | older than 11.1 FP1 | `Legacy` | green |
//! | 17 | several other rights missing, or one without a message of its own | `Insufficient Rights` | amber |
//! | 18 | only Upgrade missing | `Upgrade rights are not enabled for this system` | amber |
//! | 19 | every switch off | `Remote Operations not permitted` | green |
//! | 20 | none of these | `Connection successful` | green, amber while a server of its network is offline |
//!
//! Rows 6 to 13 cannot hold together: they are the one answer of the system. A server of the network that is offline makes any green amber.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::SignInOutcome;
use crate::rights::Right;
use crate::switches::RemoteOperations;

/// Colour bar of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Colour {
    /// No connection, or never seen.
    Red,
    /// Connected, but not authorized, or one server of its network offline.
    Amber,
    /// Connected and well.
    Green,
}

impl Colour {
    /// Every colour, for metrics.
    pub const ALL: [Colour; 3] = [Colour::Red, Colour::Amber, Colour::Green];
    /// Word of the colour.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Red => "Red",
            Self::Amber => "Amber",
            Self::Green => "Green",
        }
    }
}

/// Why a session ended, as far as the message depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Absence {
    /// Silence, a broken connection, a plain reboot or shutdown.
    Offline,
    /// The system announced a reboot for an upgrade or a restore (UPGRADE-5).
    RebootingForChange,
    /// What connected says that it is not the primary of its network.
    NotPrimary,
    /// What connected does not speak the protocol.
    Unrecognised,
}

/// Everything that decides message and colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// No session was ever established.
    NeverConnected,
    /// No session now.
    Away(Absence),
    /// A session stands.
    Connected {
        /// Outcome of the sign-in; `None` while COM holds no credentials.
        sign_in: Option<SignInOutcome>,
        /// Whether the software is older than 11.1 FP1.
        legacy: bool,
        /// The switches as reported.
        remote_operations: RemoteOperations,
        /// How many servers of the network are offline.
        servers_offline: usize,
    },
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A connectivity message, word for word (FLEET-5).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Message { $($(#[$doc])* $name,)* }
        impl Message {
            /// Every message.
            pub const ALL: &'static [Message] = &[$(Message::$name,)*];
            /// The words. [`Message::OfflineForLast`] ends where the duration follows: status says since when, views say how long.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// The reason of the `Connected` condition: the name of the variant.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

messages! {
    /// Row 1.
    WaitingForInitialConnection = "Waiting for initial connection",
    /// Row 2.
    ConnectionFailed = "Connection failed",
    /// Row 3.
    NotReachableOrNotPrimary = "System is either not reachable or not a valid primary IP Office system",
    /// Row 4; a duration follows.
    OfflineForLast = "System is either not reachable or offline for last",
    /// Row 5.
    NoAuthorizationProvided = "No authorization provided. Limited functionality will be available for the customer.",
    /// Row 6.
    InvalidCredentials = "Invalid credentials",
    /// Row 7.
    DisabledByAdministrator = "Service user account has been disabled by the administrator",
    /// Row 8.
    CurrentlyDisabled = "Service user account is currently disabled",
    /// Row 9.
    LockedTemporarily = "Service user account has been locked temporarily",
    /// Row 10.
    AuthorizationFailed = "Authorization failed",
    /// Row 11.
    PasswordExpired = "Service User password has expired.",
    /// Row 12.
    NewPasswordRequired = "New password is required for Service Use account",
    /// Row 13.
    MaximumSessionsExceeded = "Maximum concurrent sessions limit has been exceeded",
    /// Row 14.
    NoUserRights = "No user rights are enable for this system",
    /// Row 15.
    ServiceMonitorReadMissing = "Service Monitor Read rights not enabled",
    /// Row 16.
    Legacy = "Legacy",
    /// Row 17.
    InsufficientRights = "Insufficient Rights",
    /// Row 18.
    UpgradeRightsMissing = "Upgrade rights are not enabled for this system",
    /// Row 19.
    RemoteOperationsNotPermitted = "Remote Operations not permitted",
    /// Row 20.
    ConnectionSuccessful = "Connection successful",
}

/// Message and colour of an observation, by the table above.
pub fn assess(observation: &Observation) -> (Message, Colour) {
    match observation {
        Observation::NeverConnected => (Message::WaitingForInitialConnection, Colour::Red),
        Observation::Away(Absence::Unrecognised) => (Message::ConnectionFailed, Colour::Red),
        Observation::Away(Absence::RebootingForChange | Absence::NotPrimary) => (Message::NotReachableOrNotPrimary, Colour::Red),
        Observation::Away(Absence::Offline) => (Message::OfflineForLast, Colour::Red),
        Observation::Connected { sign_in, legacy, remote_operations, servers_offline } => {
            let (message, colour) = assess_session(sign_in.as_ref(), *legacy, *remote_operations);
            let colour = if *servers_offline > 0 { colour.min(Colour::Amber) } else { colour };
            (message, colour)
        }
    }
}

fn assess_session(sign_in: Option<&SignInOutcome>, legacy: bool, switches: RemoteOperations) -> (Message, Colour) {
    let amber = |message| (message, Colour::Amber);
    match sign_in {
        None => amber(Message::NoAuthorizationProvided),
        Some(SignInOutcome::UnknownUser) => amber(Message::InvalidCredentials),
        Some(SignInOutcome::DisabledByAdministrator) => amber(Message::DisabledByAdministrator),
        Some(SignInOutcome::Disabled) => amber(Message::CurrentlyDisabled),
        Some(SignInOutcome::LockedTemporarily) => amber(Message::LockedTemporarily),
        Some(SignInOutcome::WrongPassword) => amber(Message::AuthorizationFailed),
        Some(SignInOutcome::PasswordExpired) => amber(Message::PasswordExpired),
        Some(SignInOutcome::NewPasswordRequired) => amber(Message::NewPasswordRequired),
        Some(SignInOutcome::TooManySessions) => amber(Message::MaximumSessionsExceeded),
        Some(SignInOutcome::Accepted { rights }) => assess_rights(rights, legacy, switches),
    }
}

fn assess_rights(rights: &[Right], legacy: bool, switches: RemoteOperations) -> (Message, Colour) {
    let missing: Vec<Right> = Right::ALL.into_iter().filter(|right| !rights.contains(right)).collect();
    if missing.len() == Right::ALL.len() {
        (Message::NoUserRights, Colour::Amber)
    } else if missing.contains(&Right::ServiceMonitorRead) {
        (Message::ServiceMonitorReadMissing, Colour::Amber)
    } else if legacy {
        (Message::Legacy, Colour::Green)
    } else if missing == [Right::Upgrade] {
        (Message::UpgradeRightsMissing, Colour::Amber)
    } else if !missing.is_empty() {
        (Message::InsufficientRights, Colour::Amber)
    } else if switches.none_permitted() {
        (Message::RemoteOperationsNotPermitted, Colour::Green)
    } else {
        (Message::ConnectionSuccessful, Colour::Green)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(sign_in: Option<SignInOutcome>) -> Observation {
        Observation::Connected { sign_in, legacy: false, remote_operations: RemoteOperations::ALL, servers_offline: 0 }
    }

    fn with_rights(rights: &[Right]) -> Observation {
        connected(Some(SignInOutcome::Accepted { rights: rights.to_vec() }))
    }

    #[test]
    fn every_message_follows_from_a_cause_and_every_cause_has_its_message() {
        use Message as M;
        use Right as R;
        use SignInOutcome as S;
        let accepted = || Some(S::Accepted { rights: R::ALL.to_vec() });
        let with = |legacy, switches, servers_offline| Observation::Connected {
            sign_in: accepted(),
            legacy,
            remote_operations: switches,
            servers_offline,
        };
        let table = [
            (Observation::NeverConnected, M::WaitingForInitialConnection, Colour::Red),
            (Observation::Away(Absence::Unrecognised), M::ConnectionFailed, Colour::Red),
            (Observation::Away(Absence::RebootingForChange), M::NotReachableOrNotPrimary, Colour::Red),
            (Observation::Away(Absence::NotPrimary), M::NotReachableOrNotPrimary, Colour::Red),
            (Observation::Away(Absence::Offline), M::OfflineForLast, Colour::Red),
            (connected(None), M::NoAuthorizationProvided, Colour::Amber),
            (connected(Some(S::UnknownUser)), M::InvalidCredentials, Colour::Amber),
            (connected(Some(S::DisabledByAdministrator)), M::DisabledByAdministrator, Colour::Amber),
            (connected(Some(S::Disabled)), M::CurrentlyDisabled, Colour::Amber),
            (connected(Some(S::LockedTemporarily)), M::LockedTemporarily, Colour::Amber),
            (connected(Some(S::WrongPassword)), M::AuthorizationFailed, Colour::Amber),
            (connected(Some(S::PasswordExpired)), M::PasswordExpired, Colour::Amber),
            (connected(Some(S::NewPasswordRequired)), M::NewPasswordRequired, Colour::Amber),
            (connected(Some(S::TooManySessions)), M::MaximumSessionsExceeded, Colour::Amber),
            (with_rights(&[]), M::NoUserRights, Colour::Amber),
            (with_rights(&[R::Backup, R::Upgrade, R::SecurityWriteOwnPassword]), M::ServiceMonitorReadMissing, Colour::Amber),
            (with(true, RemoteOperations::ALL, 0), M::Legacy, Colour::Green),
            (with_rights(&[R::Upgrade, R::SecurityWriteOwnPassword, R::ServiceMonitorRead]), M::InsufficientRights, Colour::Amber),
            (with_rights(&[R::Backup, R::SecurityWriteOwnPassword, R::ServiceMonitorRead]), M::UpgradeRightsMissing, Colour::Amber),
            (with(false, RemoteOperations::default(), 0), M::RemoteOperationsNotPermitted, Colour::Green),
            (with(false, RemoteOperations::ALL, 0), M::ConnectionSuccessful, Colour::Green),
            (with(false, RemoteOperations::ALL, 1), M::ConnectionSuccessful, Colour::Amber),
            (with(true, RemoteOperations::ALL, 2), M::Legacy, Colour::Amber),
        ];
        for (observation, message, colour) in &table {
            assert_eq!(assess(observation), (*message, *colour), "{observation:?}");
        }
        for message in Message::ALL {
            assert!(table.iter().any(|row| row.1 == *message), "no cause leads to {message:?}");
        }
    }

    #[test]
    fn the_message_that_blocks_most_is_shown() {
        let legacy_without_monitor_right = Observation::Connected {
            sign_in: Some(SignInOutcome::Accepted { rights: vec![Right::Backup] }),
            legacy: true,
            remote_operations: RemoteOperations::default(),
            servers_offline: 3,
        };
        assert_eq!(assess(&legacy_without_monitor_right).0, Message::ServiceMonitorReadMissing);
    }
}
