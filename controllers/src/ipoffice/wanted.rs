//! The settings that a spec wants on a system: what it leaves out stays as the system has it. Pure.

use crds::ipoffice::IPOfficeSpec;
use model::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use protocol::message::{Facts, Settings};

/// Whether the spec wants nothing.
pub fn is_empty(spec: &IPOfficeSpec) -> bool {
    spec.remote_operations.unwrap_or_default() == Default::default()
        && spec.voicemail_backup.clone().unwrap_or_default() == Default::default()
        && spec.certificates.unwrap_or_default() == Default::default()
        && zone(spec).is_none()
}

/// What differs between what the spec wants and what the system reports: each group whole, with the system's own where the spec is silent.
pub fn different(spec: &IPOfficeSpec, facts: &Facts) -> Settings {
    Settings {
        remote_operations: Some(remote_operations(spec, facts.remote_operations)).filter(|value| *value != facts.remote_operations),
        voicemail_backup: Some(voicemail_backup(spec, &facts.voicemail_backup)).filter(|value| *value != facts.voicemail_backup),
        certificates: Some(certificates(spec, facts.certificates)).filter(|value| *value != facts.certificates),
        time_zone: zone(spec).filter(|value| *value != facts.time_zone),
    }
}

fn remote_operations(spec: &IPOfficeSpec, now: RemoteOperations) -> RemoteOperations {
    let wanted = spec.remote_operations.unwrap_or_default();
    RemoteOperations {
        centralized_management: wanted.centralized_management.unwrap_or(now.centralized_management),
        centralized_diagnostics_log: wanted.centralized_diagnostics_log.unwrap_or(now.centralized_diagnostics_log),
        remote_upgrade_backup: wanted.remote_upgrade_backup.unwrap_or(now.remote_upgrade_backup),
        remote_access: wanted.remote_access.unwrap_or(now.remote_access),
        co_located_servers: wanted.co_located_servers.unwrap_or(now.co_located_servers),
    }
}

fn voicemail_backup(spec: &IPOfficeSpec, now: &VoicemailBackup) -> VoicemailBackup {
    let wanted = spec.voicemail_backup.clone().unwrap_or_default();
    VoicemailBackup {
        configuration: wanted.configuration.unwrap_or(now.configuration),
        custom_prompts: wanted.custom_prompts.unwrap_or(now.custom_prompts),
        selective_mailboxes: wanted.selective_mailboxes.unwrap_or(now.selective_mailboxes),
        mailboxes: wanted.mailboxes.unwrap_or_else(|| now.mailboxes.clone()),
    }
}

fn certificates(spec: &IPOfficeSpec, now: CertificateSwitches) -> CertificateSwitches {
    let wanted = spec.certificates.unwrap_or_default();
    CertificateSwitches {
        automatic_certificate_management: wanted.automatic_certificate_management.unwrap_or(now.automatic_certificate_management),
        automatic_phone_provisioning: wanted.automatic_phone_provisioning.unwrap_or(now.automatic_phone_provisioning),
    }
}

/// A zone that does not exist is a finding of its own, and never set.
fn zone(spec: &IPOfficeSpec) -> Option<String> {
    spec.time_zone.clone().filter(|zone| jiff::tz::TimeZone::get(zone).is_ok())
}
