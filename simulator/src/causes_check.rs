//! Reading causes: what the types cannot say, and errors that name the field.

use std::collections::BTreeSet;

use crate::causes::{Causes, MOST_PHONES, MOST_SERVERS, MOST_SERVICE_USERS, MOST_UNITS};

/// Largest causes file in bytes.
pub const LARGEST: usize = 1024 * 1024;

/// Why causes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CausesError(String);

/// Reads causes from YAML or JSON (JSON is YAML).
///
/// # Errors
/// Not YAML, an unknown field, or a value that no system can have; the text names the field.
pub fn parse(text: &str) -> Result<Causes, CausesError> {
    if text.len() > LARGEST {
        return Err(CausesError(format!("the causes have {} bytes; at most {LARGEST} are read: write less", text.len())));
    }
    let causes: Causes = if text.trim().is_empty() {
        Causes::default()
    } else {
        serde_yaml::from_str(text).map_err(|error| CausesError(format!("the causes cannot be read: {error}; correct that field")))?
    };
    match check(&causes) {
        problems if problems.is_empty() => Ok(causes),
        problems => Err(CausesError(format!("the causes cannot be used: {}", problems.join("; ")))),
    }
}

/// What is wrong with causes, one text a problem, each beginning with the field.
pub fn check(causes: &Causes) -> Vec<String> {
    let mut problems = Vec::new();
    check_texts(causes, &mut problems);
    check_service_users(causes, &mut problems);
    check_servers(causes, &mut problems);
    check_ranges(causes, &mut problems);
    check_content_and_faults(causes, &mut problems);
    problems
}

fn check_ranges(causes: &Causes, problems: &mut Vec<String>) {
    let ranges = [
        ("sessions.limit", u64::from(causes.sessions.limit), 0, 1000),
        ("sessions.inUse", u64::from(causes.sessions.in_use), 0, 1000),
        ("lockout.attempts", u64::from(causes.lockout.attempts), 1, 1000),
        ("lockout.seconds", u64::from(causes.lockout.seconds), 1, 86_400),
        ("network.latencyMilliseconds", u64::from(causes.network.latency_milliseconds), 0, 60_000),
        ("network.lossPercent", u64::from(causes.network.loss_percent), 0, 100),
        ("clock.offsetSeconds", causes.clock.offset_seconds.unsigned_abs(), 0, 3_153_600_000),
        ("reboot.outageSeconds", causes.reboot.as_ref().map_or(0, |reboot| u64::from(reboot.outage_seconds)), 0, 86_400),
        ("logging.linesPerMinute", u64::from(causes.logging.lines_per_minute), 0, 60_000),
        ("logging.keepMegabytes", u64::from(causes.logging.keep_megabytes.unwrap_or(1)), 1, 4000),
        ("port", u64::from(causes.port), 1, 65_535),
    ];
    within(&ranges, problems);
}

fn check_content_and_faults(causes: &Causes, problems: &mut Vec<String>) {
    let (content, faults) = (&causes.content, &causes.faults);
    let (breaks, reboot) = (faults.transfers.breaks.as_ref(), faults.reboot_during.as_ref());
    let ranges = [
        ("content.extensions", u64::from(content.extensions), 0, 5000),
        ("content.mailboxes", u64::from(content.mailboxes), 0, 1000),
        ("content.messagesPerMailbox", u64::from(content.messages_per_mailbox), 0, 100),
        ("content.messageKilobytes", u64::from(content.message_kilobytes), 1, 10_000),
        ("content.prompts", u64::from(content.prompts), 0, 1000),
        ("content.promptKilobytes", u64::from(content.prompt_kilobytes), 1, 10_000),
        ("content.fillerMegabytes", u64::from(content.filler_megabytes), 0, 16_000),
        ("faults.diskMegabytes", u64::from(faults.disk_megabytes.unwrap_or(1)), 1, 1_000_000),
        ("faults.packingKilobytesPerSecond", u64::from(faults.packing_kilobytes_per_second.unwrap_or(1)), 1, 10_000_000),
        ("faults.transfers.kilobytesPerSecond", u64::from(faults.transfers.kilobytes_per_second.unwrap_or(1)), 1, 10_000_000),
        ("faults.transfers.break.afterKilobytes", breaks.map_or(0, |breaks| u64::from(breaks.after_kilobytes)), 0, 100_000_000),
        ("faults.rebootDuring.afterKilobytes", reboot.map_or(0, |reboot| u64::from(reboot.after_kilobytes)), 0, 100_000_000),
        ("faults.rebootDuring.outageSeconds", reboot.map_or(0, |reboot| u64::from(reboot.outage_seconds)), 0, 86_400),
        ("restore.outageSeconds", u64::from(causes.restore.outage_seconds), 0, 86_400),
        ("phones.count", u64::from(causes.phones.count), 0, u64::from(MOST_PHONES)),
    ];
    within(&ranges, problems);
    let mut length = |field: &str, text: Option<&str>| {
        if text.is_some_and(|text| text.is_empty() || text.chars().count() > 64 || text.chars().any(char::is_control)) {
            problems.push(format!("{field}: must have 1 to 64 characters and no control characters"));
        }
    };
    length("faults.transfers.break.token", breaks.and_then(|breaks| breaks.token.as_deref()));
    length("faults.rebootDuring.token", reboot.map(|reboot| reboot.token.as_str()));
    if let Some(network) = &causes.small_community_network {
        length("smallCommunityNetwork.name", Some(&network.name));
        for (index, unit) in network.units.iter().enumerate() {
            length(&format!("smallCommunityNetwork.units[{index}]"), Some(unit));
        }
        if network.units.len() > MOST_UNITS {
            problems.push(format!("smallCommunityNetwork.units: at most {MOST_UNITS} are possible, not {}", network.units.len()));
        }
    }
}

fn within(ranges: &[(&str, u64, u64, u64)], problems: &mut Vec<String>) {
    for (field, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            problems.push(format!("{field}: {value} is not between {least} and {most}"));
        }
    }
}

fn check_texts(causes: &Causes, problems: &mut Vec<String>) {
    let mut length = |field: &str, text: Option<&str>, most: usize| {
        if let Some(text) = text
            && (text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control))
        {
            problems.push(format!("{field}: must have 1 to {most} characters and no control characters"));
        }
    };
    length("systemName", causes.system_name.as_deref(), 64);
    length("address", causes.address.as_deref(), 253);
    length("reboot.token", causes.reboot.as_ref().map(|reboot| reboot.token.as_str()), 64);
    if let Some(Err(error)) = causes.system_id.as_ref().map(|id| id.parse::<model::ids::SystemId>()) {
        problems.push(format!("systemId: {error}"));
    }
    if let Some(zone) = &causes.time_zone
        && !is_time_zone(zone)
    {
        problems.push(format!("timeZone: {zone:?} is no IANA time zone; write for example Europe/London"));
    }
    if causes.certificates.is_some_and(|switches| switches.automatic_phone_provisioning && !switches.automatic_certificate_management) {
        problems.push("certificates.automaticPhoneProvisioning: needs automaticCertificateManagement".to_owned());
    }
    if causes.voicemail_backup.as_ref().is_some_and(|options| options.mailboxes.len() > 1000) {
        problems.push("voicemailBackup.mailboxes: at most 1000 are possible".to_owned());
    }
}

fn check_service_users(causes: &Causes, problems: &mut Vec<String>) {
    if causes.service_users.len() > MOST_SERVICE_USERS {
        problems.push(format!("serviceUsers: a system has at most {MOST_SERVICE_USERS}, not {}", causes.service_users.len()));
    }
    let mut names = BTreeSet::new();
    for (index, user) in causes.service_users.iter().enumerate() {
        if user.name.is_empty() || user.name.chars().count() > 31 || user.name.chars().any(char::is_control) {
            problems.push(format!("serviceUsers[{index}].name: must have 1 to 31 characters and no control characters"));
        }
        if !names.insert(&user.name) {
            problems.push(format!("serviceUsers[{index}].name: {:?} is there twice", user.name));
        }
        if let Some(key) = &user.password_secret_key
            && !is_secret_key(key)
        {
            problems.push(format!("serviceUsers[{index}].passwordSecretKey: {key:?} is no key of a Secret"));
        }
    }
}

fn check_servers(causes: &Causes, problems: &mut Vec<String>) {
    if causes.servers.len() > MOST_SERVERS {
        problems.push(format!("servers: a system has at most {MOST_SERVERS}, not {}", causes.servers.len()));
    }
    let mut names = BTreeSet::new();
    for (index, server) in causes.servers.iter().enumerate() {
        if server.name.is_empty() || server.name.chars().count() > 64 {
            problems.push(format!("servers[{index}].name: must have 1 to 64 characters"));
        }
        if !names.insert(&server.name) {
            problems.push(format!("servers[{index}].name: {:?} is there twice", server.name));
        }
        if server.address.as_ref().is_some_and(|address| address.is_empty() || address.len() > 253) {
            problems.push(format!("servers[{index}].address: must have 1 to 253 characters"));
        }
    }
}

/// Whether a text names a zone of the IANA database.
pub fn is_time_zone(text: &str) -> bool {
    text.len() <= 64 && jiff::tz::TimeZone::get(text).is_ok()
}

/// Whether a text may be a key of a Secret; such a text is also a safe file name.
fn is_secret_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() <= 253 && bytes.next().is_some_and(plain) && bytes.all(|byte| plain(byte) || byte == b'.')
}

#[cfg(test)]
mod tests;
