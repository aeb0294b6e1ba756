#![allow(clippy::unwrap_used, reason = "tests")]
use model::switches::{CertificateSwitches, RemoteOperations, VoicemailBackup};
use protocol::message::ServerFacts;

use super::*;

fn facts(profile: Profile, servers: &[(&str, ServerRole, bool)]) -> Facts {
    let servers = servers.iter().map(|(name, role, online)| ServerFacts {
        name: (*name).to_owned(),
        role: *role,
        version: "11.1.3.2.0".parse().unwrap(),
        address: "192.0.2.1".to_owned(),
        online: *online,
        services: content::services(profile, *role).iter().map(|service| service.as_str().to_owned()).collect(),
    });
    Facts {
        system_name: "HQ".to_owned(),
        address: "192.0.2.1".to_owned(),
        port: 443,
        profile,
        version: "11.1.3.2.0".parse().unwrap(),
        time_zone: "UTC".to_owned(),
        servers: servers.collect(),
        remote_operations: RemoteOperations::ALL,
        voicemail_backup: VoicemailBackup::default(),
        certificates: CertificateSwitches::default(),
        configuration_revision: 1,
        started: "2026-01-01T00:00:00Z".parse().unwrap(),
        last_restore: None,
    }
}

fn chosen(facts: &Facts, selections: &[&str]) -> Result<Vec<String>, Refusal> {
    let selections: Vec<_> = selections.iter().map(|text| (*text).to_owned()).collect();
    Ok(selected(facts, &selections)?.iter().map(ToString::to_string).collect())
}

#[test]
fn an_ip500_gives_its_own_configuration_and_nothing_else() {
    let facts = facts(Profile::Ip500V2, &[("Branch", ServerRole::Primary, true), ("ucm", ServerRole::Ucm, true)]);
    assert_eq!(chosen(&facts, &["Configuration"]).unwrap(), ["Configuration/IPOffice/Branch"]);
    for refused in ["CustomPrompts", "Configuration/ServerSettings", "Configuration/IPOffice/Other", "Nonsense"] {
        let error = chosen(&facts, &[refused]).unwrap_err();
        assert_eq!(error.reason(), "UnknownElement");
        assert!(error.to_string().contains("it has Configuration/IPOffice/Branch"), "{error}");
    }
}

#[test]
fn a_network_gives_every_service_of_every_server_once_in_its_own_order() {
    let facts = facts(Profile::ServerEdition, &[("HQ", ServerRole::Primary, true), ("East", ServerRole::Expansion, true)]);
    let all = chosen(&facts, &["CustomPrompts", "Configuration/IPOffice", "Configuration"]).unwrap();
    assert_eq!(
        (all.len(), all.first().map(String::as_str), all.last().map(String::as_str)),
        (9, Some("Configuration/IPOffice/HQ"), Some("CustomPrompts"))
    );
    assert_eq!(chosen(&facts, &["Configuration/IPOffice"]).unwrap(), ["Configuration/IPOffice/HQ", "Configuration/IPOffice/East"]);
}

#[test]
fn what_is_on_a_server_out_of_reach_is_refused_with_its_name_and_never_left_out_in_silence() {
    let facts = facts(Profile::ServerEdition, &[("HQ", ServerRole::Primary, true), ("East", ServerRole::Expansion, false)]);
    for selection in ["Configuration", "Configuration/IPOffice", "Configuration/ServerSettings/East"] {
        let error = chosen(&facts, &[selection]).unwrap_err();
        assert!(error.reason() == "ServerOffline" && error.to_string().contains("\"East\""), "{error}");
    }
    assert_eq!(chosen(&facts, &["Configuration/ServerSettings/HQ"]).unwrap().len(), 1);
    assert_eq!(named(&facts, "Configuration/IPOffice/East").unwrap_err().reason(), "ServerOffline");
}

#[test]
fn a_restore_names_each_element_once_and_messages_of_one_sort() {
    let facts = facts(Profile::ServerEdition, &[("HQ", ServerRole::Primary, true)]);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    for refused in [&[][..], &["CustomPrompts", "CustomPrompts"], &["AllVoicemails", "SelectiveVoicemails"]] {
        assert_eq!(all_named(&facts, &texts(refused)).unwrap_err().reason(), "InvalidOrder");
    }
    assert_eq!(all_named(&facts, &texts(&["Configuration"])).unwrap_err().reason(), "UnknownElement", "no beginnings of names here");
}
