//! Text to message and back. Everything that arrives is bounded before it is looked at.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::LARGEST_MESSAGE;
use crate::message::{Facts, FromSystem};

/// Why a text is no message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Too large to look at.
    #[error("a message of {0} bytes came; at most {LARGEST_MESSAGE} are taken: send less in one message")]
    TooLarge(usize),
    /// Not JSON, or not a message.
    #[error("a message could not be read: {0}; see docs/protocol.md for what is expected")]
    Malformed(#[from] serde_json::Error),
    /// A text or list in it is longer than the protocol allows.
    #[error("a message could not be taken: {field} is longer than {limit}; shorten it")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// How long it may be.
        limit: usize,
    },
}

/// Reads a message.
///
/// # Errors
/// Too large, or not a message.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, FrameError> {
    if text.len() > LARGEST_MESSAGE {
        return Err(FrameError::TooLarge(text.len()));
    }
    Ok(serde_json::from_str(text)?)
}

/// Reads a message of a system and checks the lengths that the types do not say.
///
/// # Errors
/// Too large, not a message, or a field too long.
pub fn parse_from_system(text: &str) -> Result<FromSystem, FrameError> {
    let message: FromSystem = parse(text)?;
    match &message {
        FromSystem::Hello(hello) => check_facts(&hello.facts)?,
        FromSystem::Report(facts) => check_facts(facts)?,
        FromSystem::Challenge { .. }
        | FromSystem::SignInResult(_)
        | FromSystem::AccountChanged
        | FromSystem::Answer(_)
        | FromSystem::Goodbye { .. } => {}
    }
    Ok(message)
}

fn check_facts(facts: &Facts) -> Result<(), FrameError> {
    let limits = [
        ("systemName", facts.system_name.chars().count(), 64),
        ("address", facts.address.len(), 253),
        ("timeZone", facts.time_zone.len(), 64),
        ("servers", facts.servers.len(), 150),
        ("voicemailBackup.mailboxes", facts.voicemail_backup.mailboxes.len(), 1000),
        ("servers[].name", facts.servers.iter().map(|s| s.name.chars().count()).max().unwrap_or(0), 64),
        ("servers[].services", facts.servers.iter().map(|s| s.services.len()).max().unwrap_or(0), 20),
        ("servers[].services[]", facts.servers.iter().flat_map(|s| &s.services).map(String::len).max().unwrap_or(0), 64),
        ("lastRestore.operation", facts.last_restore.as_ref().map_or(0, |last| last.operation.len()), 256),
        ("lastRestore.backupId", facts.last_restore.as_ref().map_or(0, |last| last.backup_id.len()), 64),
        ("servers[].address", facts.servers.iter().map(|s| s.address.len()).max().unwrap_or(0), 253),
    ];
    match limits.into_iter().find(|(_, length, limit)| length > limit) {
        Some((field, _, limit)) => Err(FrameError::TooLong { field, limit }),
        None => Ok(()),
    }
}

/// Writes a message.
pub fn write<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).expect("protocol messages have string keys and finite numbers only")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::message::FromGateway;

    const HELLO: &str = r#"{"type":"hello","protocol":1,"customerId":"acme","systemId":"hq","session":7,"facts":{
        "systemName":"HQ","address":"192.0.2.1","port":443,"profile":"IP500 V2","version":"11.1.3.2.0","timeZone":"Europe/London",
        "servers":[{"name":"HQ","role":"Primary","version":"11.1.3.2.0","address":"192.0.2.1","online":true}],
        "remoteOperations":{"centralizedManagement":true},"voicemailBackup":{},"certificates":{},"configurationRevision":3,
        "started":"2026-01-01T00:00:00Z"},"somethingNewer":true}"#;

    #[test]
    fn a_hello_with_fields_of_a_newer_revision_is_read() {
        let FromSystem::Hello(hello) = parse_from_system(HELLO).unwrap() else { unreachable!("it is a hello") };
        assert_eq!(hello.session, 7);
        assert!(hello.facts.remote_operations.centralized_management && !hello.facts.remote_operations.remote_access);
    }

    #[test]
    fn what_is_too_large_too_long_or_no_message_is_refused_by_name() {
        assert!(matches!(parse_from_system(&" ".repeat(LARGEST_MESSAGE + 1)), Err(FrameError::TooLarge(_))));
        assert!(matches!(parse_from_system("{}"), Err(FrameError::Malformed(_))));
        assert!(matches!(parse_from_system(r#"{"type":"nonsense"}"#), Err(FrameError::Malformed(_))));
        let long = HELLO.replace("\"systemName\":\"HQ\"", &format!("\"systemName\":\"{}\"", "x".repeat(65)));
        assert!(matches!(parse_from_system(&long), Err(FrameError::TooLong { field: "systemName", limit: 64 })));
        assert!(parse_from_system(&HELLO.replace("acme", "ac/me")).is_err());
    }

    #[test]
    fn messages_read_back_as_they_were_written() {
        let messages = [
            r#"{"type":"signIn","scram":"n,,n=COMAdmin,r=x"}"#,
            r#"{"type":"request","id":1,"operation":"op","command":{"command":"configure","remoteOperations":{"centralizedManagement":true,"centralizedDiagnosticsLog":false,"remoteUpgradeBackup":true,"remoteAccess":false,"coLocatedServers":false}}}"#,
            r#"{"type":"close","reason":"superseded","message":"m"}"#,
        ];
        for text in messages {
            assert_eq!(write(&parse::<FromGateway>(text).unwrap()), text);
        }
        for text in [
            r#"{"type":"signInResult","outcome":"accepted","rights":["Backup"],"scram":"v="}"#,
            r#"{"type":"signInResult","outcome":"wrongPassword"}"#,
            r#"{"type":"answer","id":4,"result":"done","configurationRevision":9}"#,
            r#"{"type":"goodbye","reason":"rebootForChange"}"#,
            r#"{"type":"accountChanged"}"#,
        ] {
            assert_eq!(write(&parse_from_system(text).unwrap()), text);
        }
    }
}
