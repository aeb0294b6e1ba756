#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::sync::Arc;

use super::*;
use crate::causes_check::parse;
use crate::inputs::Inputs;
use crate::testing::{Folder, HandClock, files};

const TO: [&str; 3] = ["servers/primary/IPOffice", "voicemail/prompts", "voicemail/mailboxes/201"];

fn open(folder: &Folder, causes: &str) -> Machine {
    let causes = parse(&format!("profile: Server Edition\ncontent: {{extensions: 2, mailboxes: 2}}\n{causes}")).unwrap();
    let inputs = Inputs { causes, passwords: [].into(), subscription: Err("none".into()), problems: vec![] };
    Machine::open(folder.path(), Arc::new(inputs), HandClock::new(), false, Some(100_000)).unwrap()
}

/// Unpacks a restore of three folders, of which one is not there yet, beside what is in use.
fn unpacked(machine: &mut Machine) -> Vec<Replacement> {
    machine.begin_restore("op", "b-1", 9).unwrap();
    let unpacked = machine.unpacked_folder("op");
    let replacements = TO.iter().enumerate().map(|(number, to)| {
        let folder = unpacked.join(number.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("users.csv"), format!("restored {number}")).unwrap();
        Replacement {
            from: format!("op/{UNPACKED}/{number}"),
            aside: format!("op/aside/{number}"),
            to: (*to).to_owned(),
            takes_settings: number == 0,
        }
    });
    let replacements = replacements.collect();
    let mut restored = machine.state().configuration.clone();
    restored.time_zone = "Asia/Tokyo".to_owned();
    settings::write(&unpacked.join("0"), &restored).unwrap();
    std::fs::remove_dir_all(machine.folders().0.join("content/voicemail/mailboxes/201")).unwrap();
    replacements
}

fn assert_restored(folder: &Folder, machine: &Machine) {
    let content = files(&folder.path().join("content"));
    for (number, to) in TO.iter().enumerate() {
        assert_eq!(content[&format!("{to}/users.csv")], format!("restored {number}").into_bytes());
    }
    assert!(!content.contains_key("voicemail/prompts/prompt-001.wav"), "what was there before is gone");
    assert!(content.contains_key("voicemail/mailboxes/200/message-0001.wav"), "what was not restored stays");
    let state = machine.state();
    assert_eq!((state.configuration.revision, state.configuration.time_zone.as_str()), (2, "Asia/Tokyo"));
    assert_eq!(state.restoring, None);
    let last = state.last_restore.clone().unwrap();
    assert_eq!((last.operation.as_str(), last.backup_id.as_str(), last.configuration_revision, last.failure), ("op", "b-1", 9, None));
}

#[test]
fn a_restore_stopped_before_any_step_is_finished_by_the_next_start() {
    for stop in 0.. {
        let folder = Folder::new();
        let mut machine = open(&folder, "");
        let replacements = unpacked(&mut machine);
        machine.decide_restore(replacements).unwrap();
        assert!(machine.restore_is_certain("op") && machine.state().last_restore.is_none());
        let mut steps = Vec::new();
        machine
            .finish_restore_with(&mut |_, step| {
                steps.push(step);
                steps.len() <= stop
            })
            .unwrap();
        drop(machine);
        let machine = open(&folder, "");
        assert_restored(&folder, &machine);
        if steps.len() <= stop {
            let expected = [Step::Aside(0), Step::Place(0), Step::Aside(1), Step::Place(1), Step::Place(2), Step::Record, Step::Tidy];
            assert_eq!(steps, expected, "every step was stopped before");
            return;
        }
    }
}

#[test]
fn a_restore_that_was_not_decided_is_taken_back_and_recorded() {
    let folder = Folder::new();
    let mut machine = open(&folder, "");
    unpacked(&mut machine);
    let before = files(&folder.path().join("content"));
    drop(machine);
    let machine = open(&folder, "");
    assert_eq!(files(&folder.path().join("content")), before);
    let state = machine.state();
    assert_eq!((state.configuration.revision, state.restoring.is_none()), (1, true));
    let last = state.last_restore.clone().unwrap();
    assert!(last.operation == "op" && last.failure.unwrap().contains("restarted before all was unpacked"));
    assert!(!machine.unpacked_folder("op").exists() && !machine.restore_is_certain("op"));
}

#[test]
fn the_power_may_fail_while_folders_are_replaced() {
    let folder = Folder::new();
    let mut machine = open(&folder, "faults: {rebootDuring: {work: Replacing, token: one, outageSeconds: 7}}\n");
    let replacements = unpacked(&mut machine);
    machine.decide_restore(replacements).unwrap();
    let reboot = machine.start().unwrap().unwrap();
    assert_eq!((reboot.outage_seconds, reboot.for_change), (7, false));
    assert!(machine.state().restoring.is_some(), "some folders are replaced, others are not");
    assert_eq!(machine.start().unwrap(), None);
    assert_restored(&folder, &machine);
}

#[test]
fn a_state_without_restores_is_read_as_before() {
    let folder = Folder::new();
    drop(open(&folder, ""));
    let text = std::fs::read_to_string(folder.path().join("state.json")).unwrap();
    assert!(!text.contains("restoring") && !text.contains("lastRestore") && !text.contains("breakToken"), "{text}");
    std::fs::remove_dir_all(folder.path().join("content")).unwrap();
    open(&folder, "");
    assert!(folder.path().join("content/voicemail/prompts").exists(), "a disk from before gets its content");
}
