#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;

fn select(texts: &[&str]) -> Vec<Selection> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn every_element_has_one_text_that_reads_back() {
    // Written down, not computed: manifests of years ago carry these.
    let texts = [
        "Configuration/IPOffice/HQ",
        "Configuration/ServerSettings/HQ",
        "Configuration/OneXPortal/Application server 1",
        "Configuration/MediaManager/a/b",
        "Configuration/WebRTCGateway/HQ",
        "Configuration/WebCollaboration/HQ",
        "Configuration/WebLM/Zürich",
        "VoicemailConfiguration",
        "CustomPrompts",
        "SelectiveVoicemails",
        "AllVoicemails",
    ];
    for text in texts {
        let element: BackupElement = text.parse().unwrap();
        assert_eq!(element.to_string(), text);
        assert_eq!(serde_json::to_value(&element).unwrap(), text);
        assert_eq!(text.parse::<Selection>().unwrap(), Selection::Element(element));
    }
    for text in ["Configuration", "Configuration/IPOffice"] {
        assert_eq!(text.parse::<Selection>().unwrap().to_string(), text);
    }
    assert_eq!(texts.len(), Service::ALL.len() + ElementKind::ALL.len() - 1, "every service and kind stands in this list");
}

#[test]
fn what_is_no_element_is_refused_with_what_would_be_one() {
    for (bad, advice) in [
        ("", "use Configuration"),
        ("configuration", "use Configuration"),
        ("Recordings", "use Configuration"),
        ("Configuration/", "IPOffice"),
        ("Configuration/Recordings/HQ", "IPOffice"),
        ("Configuration/IPOffice/", "1 to 64"),
        ("Configuration/IPOffice/ HQ", "blank"),
        ("Configuration/IPOffice/H\nQ", "control characters"),
        ("CustomPrompts/HQ", "write CustomPrompts alone"),
    ] {
        let error = bad.parse::<Selection>().unwrap_err().to_string();
        assert!(error.contains(advice), "{bad}: {error}");
    }
    let long = format!("Configuration/IPOffice/{}", "a".repeat(LONGEST_SERVER_NAME));
    assert!(long.parse::<BackupElement>().is_ok() && format!("{long}a").parse::<BackupElement>().is_err());
    for open in ["Configuration", "Configuration/IPOffice"] {
        assert!(open.parse::<BackupElement>().unwrap_err().to_string().contains("no single element"));
    }
}

#[test]
fn a_selection_covers_what_begins_with_it_and_nothing_else() {
    let elements = ["Configuration/IPOffice/HQ", "Configuration/IPOffice/HQ2", "Configuration/OneXPortal/HQ", "CustomPrompts"];
    for (selection, covered) in [
        ("Configuration", vec![0, 1, 2]),
        ("Configuration/IPOffice", vec![0, 1]),
        ("Configuration/IPOffice/HQ", vec![0]),
        ("CustomPrompts", vec![3]),
        ("AllVoicemails", vec![]),
    ] {
        let selection: Selection = selection.parse().unwrap();
        let found: Vec<usize> = (0..elements.len()).filter(|at| selection.covers(&elements[*at].parse().unwrap())).collect();
        assert_eq!(found, covered, "{selection}");
    }
}

#[test]
fn an_ip500_v2_gives_its_own_configuration_only() {
    assert_eq!(refusals(Profile::Ip500V2, Occasion::Manual, &select(&["Configuration", "Configuration/IPOffice/HQ"])), []);
    let refused =
        refusals(Profile::Ip500V2, Occasion::Manual, &select(&["Configuration/OneXPortal", "VoicemailConfiguration", "CustomPrompts"]));
    assert_eq!(refused.len(), 3);
    assert!(
        refused[1].to_string().contains("VoicemailConfiguration") && refused[1].to_string().contains("profile IP500 V2"),
        "{}",
        refused[1]
    );
}

#[test]
fn an_accs_gives_configuration_and_a_server_edition_everything() {
    let all = select(&["Configuration", "VoicemailConfiguration", "CustomPrompts", "SelectiveVoicemails"]);
    assert_eq!(refusals(Profile::ServerEdition, Occasion::Automatic, &all), []);
    assert_eq!(refusals(Profile::Accs, Occasion::Manual, &all).len(), 3);
    assert_eq!(refusals(Profile::Accs, Occasion::Manual, &select(&["Configuration/ServerSettings"])), []);
}

#[test]
fn messages_go_in_once_and_all_of_them_only_by_hand() {
    let all = select(&["AllVoicemails"]);
    assert_eq!(refusals(Profile::ServerEdition, Occasion::Manual, &all), []);
    assert_eq!(refusals(Profile::ServerEdition, Occasion::Automatic, &all), [ElementRefused::AutomaticAllVoicemails]);
    let both = select(&["AllVoicemails", "SelectiveVoicemails", "AllVoicemails"]);
    let refused = refusals(Profile::ServerEdition, Occasion::Manual, &both);
    assert_eq!(refused, [ElementRefused::Twice(both[0].clone()), ElementRefused::VoicemailsTwice]);
}

#[test]
fn automatic_backups_hold_all_configuration_and_the_voicemail_parts_that_are_switched_on() {
    let on = VoicemailBackup { configuration: true, custom_prompts: false, selective_mailboxes: true, mailboxes: vec!["201".into()] };
    assert_eq!(automatic(Profile::ServerEdition, &on), select(&["Configuration", "VoicemailConfiguration", "SelectiveVoicemails"]));
    assert_eq!(automatic(Profile::Ip500V2, &on), select(&["Configuration"]));
    let nobody = VoicemailBackup { selective_mailboxes: true, ..VoicemailBackup::default() };
    assert_eq!(automatic(Profile::ServerEdition, &nobody), select(&["Configuration"]), "no mailbox is selected");
}

#[test]
fn defaults_are_never_refused() {
    let on = VoicemailBackup { configuration: true, custom_prompts: true, selective_mailboxes: true, mailboxes: vec!["201".into()] };
    for profile in [Profile::Ip500V2, Profile::ServerEdition, Profile::Accs] {
        assert_eq!(refusals(profile, Occasion::Manual, &manual_default(profile)), []);
        assert_eq!(refusals(profile, Occasion::Automatic, &automatic(profile, &on)), []);
    }
}
