//! What stands in the way of a start is said: what, why, what to do; with an exit code, and without harm to what is there.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpListener;

use harness::folder::Folder;
use harness::objects;
use harness::switchboard::{Ports, Switchboard, up_ends};
use rustix::process::Signal;

#[test]
fn a_port_in_use_is_named_with_the_option_that_changes_it() {
    let folder = Folder::new();
    let ports = Ports::free();
    for (port, option) in [(ports.api, "--api-port"), (ports.gateway, "--gateway-port"), (ports.metrics, "--metrics-port")] {
        let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let ended = up_ends(&folder.path().join("data"), ports, &[]);
        assert_eq!(ended.code, 1, "{}", ended.error);
        let last = ended.error.lines().last().unwrap_or_default();
        assert!(last.contains(&port.to_string()) && last.contains("in use") && last.contains(option), "{option}: {}", ended.error);
        assert!(!folder.path().join("data/ready").exists());
        drop(taken);
    }
    // Nothing of that spoilt the folder.
    let plane = Switchboard::start_in(folder, ports, &[]);
    plane.kubectl().ok(&["get", "ipoffices", "-A"]);
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named_with_the_reason() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    // Nobody may write under /proc, not even an administrator.
    for data in [file.clone(), file.join("below"), "/proc/switchboard-data".into()] {
        let ended = up_ends(&data, Ports::free(), &[]);
        assert!(ended.code == 1 && ended.error.contains(&*data.to_string_lossy()), "{}: {} {}", data.display(), ended.code, ended.error);
        assert!(ended.error.contains("another") && ended.error.lines().count() == 1, "one line says what to do: {}", ended.error);
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "not a folder");

    let plane = Switchboard::start(&[]);
    let ended = up_ends(&plane.data(), Ports::free(), &[]);
    assert_eq!(ended.code, 1);
    let wanted = format!(
        "the data folder {} is in use by process {}; stop that process, or use another data folder",
        plane.data().display(),
        plane.id()
    );
    assert!(ended.error.contains(&wanted), "{}", ended.error);
    assert!(plane.data().join("ready").exists(), "the one that runs is not disturbed");
    plane.kubectl().apply(&objects::tenancy("still-here"));
}

#[test]
fn a_damaged_data_file_is_never_used_and_the_way_back_is_said() {
    let mut plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("kept"));
    // The copy is made at a start that finds the file whole.
    assert_eq!(plane.stop(Signal::TERM), Some(0));
    plane.start_again();
    assert_eq!(plane.stop(Signal::TERM), Some(0));

    let file = plane.data().join("objects.redb");
    let whole = std::fs::read(&file).unwrap();
    // Wherever it is: some of these places may be free again, and not be read.
    let places: Vec<usize> = (0..whole.len()).filter(|place| whole[*place..].starts_with(b"Customer acme")).collect();
    assert!(!places.is_empty(), "the objects are in the file");
    let mut writer = OpenOptions::new().read(true).write(true).open(&file).unwrap();
    for place in places {
        writer.seek(SeekFrom::Start(place as u64)).unwrap();
        writer.write_all(b"Damaged_text!").unwrap();
    }
    drop(writer);

    let damaged = std::fs::read(&file).unwrap();
    let ended = up_ends(&plane.data(), plane.ports, &[]);
    assert_eq!(ended.code, 1, "{}", ended.error);
    assert!(ended.error.contains(&format!("the data file {} is damaged", file.display())), "{}", ended.error);
    let mut after = Vec::new();
    std::fs::File::open(&file).unwrap().read_to_end(&mut after).unwrap();
    assert!(after == damaged, "nothing was changed or dropped");

    // What the message says works.
    let remedy = ended
        .error
        .split("to go back to the last good copy: ")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .expect("it says how to go back");
    let done = std::process::Command::new("sh").args(["-c", remedy]).status().unwrap();
    assert!(done.success(), "{remedy}");
    plane.start_again();
    assert_eq!(kubectl.field("kept", "customer/acme", "{.spec.displayName}"), "Customer acme");
}
