//! Whether an action may begin on a system now, as far as the system's object tells. Pure.

use crds::IPOffice;
use crds::conditions::is_true;
use kube::ResourceExt as _;

use super::report::Because;

/// What an action finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It may begin once it has the lock.
    Ready,
    /// Something is missing that may come.
    Waits(Because),
    /// It can never be done as ordered.
    Refused(Because),
}

fn waits(reason: &str, message: impl Into<String>) -> Readiness {
    Readiness::Waits(Because::new(reason, message))
}

fn refused(reason: &str, message: impl Into<String>) -> Readiness {
    Readiness::Refused(Because::new(reason, message))
}

/// Whether a backup or restore may begin on the system named `name` (FLEET-2, FLEET-9, BACKUP-3).
pub fn readiness(name: &str, system: Option<&IPOffice>) -> Readiness {
    let Some(system) = system else {
        return waits("SystemNotFound", format!("there is no IPOffice {name} in this namespace; create it, or delete this object"));
    };
    if system.metadata.deletion_timestamp.is_some() {
        return refused("SystemDeleted", format!("the IPOffice {name} is being deleted; nothing new begins on it"));
    }
    let Some(status) = system.status.as_ref().filter(|status| status.connection.is_some()) else {
        return waits("SystemNotSeen", format!("nothing is known of the IPOffice {name} yet"));
    };
    let version = status.version.as_ref().and_then(|version| version.parse::<model::version::SoftwareVersion>().ok());
    if version.as_ref().is_some_and(model::version::SoftwareVersion::is_legacy) {
        return refused(
            "Legacy",
            format!("{name} runs software older than 11.1.1.0.0: it is watched, and nothing else can be done with it; upgrade it on site"),
        );
    }
    if !is_true(&status.conditions, "Connected") {
        return waits("SystemNotConnected", format!("{name} is not connected; this begins once it is"));
    }
    if !is_true(&status.conditions, "Authorized") {
        let why = status.connection.as_ref().map(|connection| connection.message.as_str()).unwrap_or_default();
        return waits("NotAuthorized", format!("{name} does not let Switchboard in ({why}); see its condition Authorized for what to do"));
    }
    let on = status.remote_operations.is_some_and(|switches| switches.remote_upgrade_backup);
    let wanted = system.spec.remote_operations.and_then(|switches| switches.remote_upgrade_backup);
    match (on, wanted) {
        (true, _) => Readiness::Ready,
        (false, Some(true)) => waits("RemoteUpgradeBackupOff", format!("Remote Upgrade/Backup is being switched on at {name}")),
        (false, _) => refused(
            "RemoteUpgradeBackupOff",
            format!(
                "Remote Upgrade/Backup is off at {name}; set spec.remoteOperations.remoteUpgradeBackup: true there and order this again"
            ),
        ),
    }
}

/// Why an action that had begun does not go on: its system is gone, or its turn was lost with the object of the system. None where it goes on.
pub fn interrupted(system: Option<&IPOffice>, system_uid: Option<&str>, uid: &str, name: &str) -> Option<Readiness> {
    match system {
        None => Some(refused("SystemDeleted", format!("the IPOffice {name} was deleted while this was in progress"))),
        Some(system) if system.metadata.deletion_timestamp.is_some() => {
            Some(refused("SystemDeleted", format!("the IPOffice {name} was deleted while this was in progress")))
        }
        Some(system) if system_uid.is_some() && system.uid().as_deref() != system_uid => {
            Some(refused("SystemDeleted", format!("the IPOffice {name} was deleted and made anew while this was in progress")))
        }
        Some(system) if holds_lock(Some(system), uid) => None,
        Some(system) => Some(Readiness::Waits(Because::new(super::report::WAITING_FOR_TURN, holder(Some(system))))),
    }
}

/// Whether the lock of the system is the action's with this UID.
pub fn holds_lock(system: Option<&IPOffice>, uid: &str) -> bool {
    let operation = system.and_then(|system| system.status.as_ref()).and_then(|status| status.operation.as_ref());
    operation.is_some_and(|operation| operation.uid == uid)
}

/// Who holds the lock instead, for people.
pub fn holder(system: Option<&IPOffice>) -> String {
    let operation = system.and_then(|system| system.status.as_ref()).and_then(|status| status.operation.as_ref());
    let name = system.map(|system| system.name_any()).unwrap_or_default();
    match operation {
        Some(operation) => format!("{} {} works on {name}; this begins after it", operation.kind, operation.name),
        None => format!("waits for its turn on {name}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn system(change: impl FnOnce(&mut serde_json::Value)) -> IPOffice {
        let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let mut value = json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice", "metadata": {"name": "hq"}, "spec": {"customer": "acme"},
            "status": {
                "conditions": [condition("Connected"), condition("Authorized")],
                "connection": {"colour": "Green", "message": "Connection successful", "since": "2026-01-01T00:00:00Z"},
                "version": "11.1.3.2.0",
                "remoteOperations": {"remoteUpgradeBackup": true}
            }
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn reason(readiness: &Readiness) -> (&'static str, &str) {
        match readiness {
            Readiness::Ready => ("ready", ""),
            Readiness::Waits(because) => ("waits", &because.reason),
            Readiness::Refused(because) => ("refused", &because.reason),
        }
    }

    #[test]
    fn each_obstacle_has_its_reason_and_what_cannot_pass_is_refused() {
        assert_eq!(readiness("hq", Some(&system(|_| {}))), Readiness::Ready);
        assert_eq!(reason(&readiness("hq", None)), ("waits", "SystemNotFound"));
        type Change = fn(&mut serde_json::Value);
        let cases: [(&str, Change, (&str, &str)); 7] = [
            ("deleted", |s| s["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"), ("refused", "SystemDeleted")),
            ("unseen", |s| s["status"] = json!({}), ("waits", "SystemNotSeen")),
            ("old", |s| s["status"]["version"] = json!("11.0.4.8.0"), ("refused", "Legacy")),
            ("away", |s| s["status"]["conditions"][0]["status"] = json!("False"), ("waits", "SystemNotConnected")),
            ("locked out", |s| s["status"]["conditions"][1]["status"] = json!("False"), ("waits", "NotAuthorized")),
            ("off", |s| s["status"]["remoteOperations"] = json!({}), ("refused", "RemoteUpgradeBackupOff")),
            (
                "off, and wanted on",
                |s| {
                    s["status"]["remoteOperations"] = json!({});
                    s["spec"]["remoteOperations"] = json!({"remoteUpgradeBackup": true});
                },
                ("waits", "RemoteUpgradeBackupOff"),
            ),
        ];
        for (name, change, expected) in cases {
            assert_eq!(reason(&readiness("hq", Some(&system(change)))), expected, "{name}");
        }
    }
}
