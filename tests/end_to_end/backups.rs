//! Backups and restores as a person orders them with kubectl, in the embedded store and in one of other people's, seen from outside: by an S3
//! client that is not ours, by tar, and by diff.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::folder::Folder;
use harness::kubectl::Kubectl;
use harness::objects;
use harness::plane::Plane;
use harness::seaweedfs::SeaweedFs;
use harness::store::Bucket;
use harness::wait;
use serde_json::{Value, json};

const SPACE: &str = "backups";
const PHASE: &str = "{.status.phase}";

/// A Server Edition network with voicemail, small enough to be quick.
fn network(name: &str) -> [Value; 2] {
    let servers = json!([
        {"name": "HQ", "role": "Primary"}, {"name": "Standby", "role": "Secondary"}, {"name": "Shop 1", "role": "Expansion"}
    ]);
    let office = json!({
        "profile": "Server Edition", "servers": servers, "systemId": "network",
        "remoteOperations": {"remoteUpgradeBackup": true},
        "voicemailBackup": {"configuration": true, "customPrompts": true, "selectiveMailboxes": true, "mailboxes": ["200"]}
    });
    let content =
        json!({"extensions": 20, "mailboxes": 3, "messagesPerMailbox": 2, "messageKilobytes": 8, "prompts": 3, "promptKilobytes": 8});
    let causes = json!({"profile": "Server Edition", "servers": servers, "content": content, "restore": {"outageSeconds": 1}});
    [objects::ip_office(SPACE, name, &office), objects::simulated_system(SPACE, name, &causes)]
}

fn order(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": SPACE}, "spec": spec})
}

/// What a system has in use, as files.
fn content(plane: &Plane, kubectl: &Kubectl, system: &str) -> PathBuf {
    let claim = kubectl.field(SPACE, &format!("pvc/{system}-disk"), "{.metadata.uid}");
    plane.data().join("node/claims").join(claim).join("content")
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Empty where the two folders hold the same.
fn differences(one: &Path, other: &Path) -> String {
    let output = Command::new("diff").arg("-r").arg(one).arg(other).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn another_store(bucket: &Bucket) -> [Value; 2] {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    [
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "elsewhere", "namespace": SPACE},
            "data": {"accessKeyId": encode(&bucket.key.0), "secretAccessKey": encode(&bucket.key.1)}
        }),
        json!({
            "apiVersion": "switchboard.dev/v1alpha1", "kind": "ObjectStore", "metadata": {"name": "elsewhere"},
            "spec": {
                "endpoint": bucket.endpoint, "bucket": bucket.name, "allowPlainHttp": true,
                "credentialsSecret": {"namespace": SPACE, "name": "elsewhere"}
            }
        }),
    ]
}

/// Every folder that the archives of a backup hold, unpacked by tar into one folder each.
fn unpack(bucket: &Bucket, prefix: &str, into: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (key, size) in bucket.list().into_iter().filter(|(key, _)| key.starts_with(prefix) && key.ends_with(".tar")) {
        let archive = into.join("element.tar");
        bucket.get(&key, &archive);
        assert_eq!(archive.metadata().unwrap().len(), size, "{key}");
        let folder = into.join(key.rsplit('/').next().unwrap().trim_end_matches(".tar"));
        std::fs::create_dir(&folder).unwrap();
        assert!(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder).status().unwrap().success(), "tar of {key}");
        folders.push(folder);
    }
    folders
}

/// The folder of a system's content that holds exactly what was unpacked, if there is one.
fn twin(content: &Path, unpacked: &Path) -> Option<PathBuf> {
    let mut folders = vec![content.to_owned()];
    while let Some(folder) = folders.pop() {
        if differences(&folder, unpacked).is_empty() {
            return Some(folder);
        }
        folders.extend(std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    None
}

/// The whole way, in a store.
fn there_and_back(plane: &Plane, bucket: &Bucket, store: &str) {
    let kubectl = plane.kubectl();
    kubectl.apply(&network("hq"));
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    let elements = json!(["Configuration", "VoicemailConfiguration", "CustomPrompts", "AllVoicemails"]);
    kubectl.apply(&[order("Backup", "first", &json!({"ipOffice": "hq", "objectStore": store, "elements": elements}))]);
    kubectl.wait(SPACE, "backup/first", "condition=Complete");
    let status = kubectl.object(SPACE, "backup/first")["status"].clone();
    let folder = status["folder"].as_str().unwrap();
    // Seen from outside: the objects that the status names, with these sizes, the manifest, and nothing else.
    let listed = bucket.list();
    let manifest = format!("{folder}manifest.json");
    assert!(listed.iter().any(|(key, _)| *key == manifest), "{listed:?}");
    let mut sizes: Vec<u64> = listed.iter().filter(|(key, _)| key.ends_with(".tar")).map(|(_, size)| *size).collect();
    let mut reported: Vec<u64> = status["elements"].as_array().unwrap().iter().map(|element| element["size"].as_u64().unwrap()).collect();
    sizes.sort_unstable();
    reported.sort_unstable();
    assert!(sizes == reported && sizes.len() > 5, "{listed:?} {status:?}");
    assert_eq!(listed.len(), sizes.len() + 1, "{listed:?}");
    assert_eq!(bucket.unfinished(), 0);
    // Unpacked by tar each archive is a folder of the system.
    let in_use = content(plane, &kubectl, "hq");
    let scratch = Folder::new();
    for unpacked in unpack(bucket, folder, scratch.path()) {
        assert!(twin(&in_use, &unpacked).is_some(), "{} is no folder of the system", unpacked.display());
    }
    let before = scratch.path().join("before");
    copy(&in_use, &before);
    spoil(&in_use);
    assert!(!differences(&before, &in_use).is_empty());
    // A dry run says what would change, and changes nothing.
    let spoilt = scratch.path().join("spoilt");
    copy(&in_use, &spoilt);
    let source = json!({"backup": "first"});
    kubectl.apply(&[order("Restore", "look", &json!({"ipOffice": "hq", "objectStore": store, "source": source, "dryRun": true}))]);
    kubectl.wait(SPACE, "restore/look", "condition=Complete");
    let would = kubectl.object(SPACE, "restore/look")["status"]["elements"].clone();
    let sum = |what: &str| would.as_array().unwrap().iter().map(|element| element["changes"][what].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("added"), sum("changed"), sum("removed")), (1, 1, 1), "{would:#}");
    assert_eq!(differences(&spoilt, &in_use), "");
    // And back.
    let starts = kubectl.field(SPACE, "ipo/hq", "{.status.started}");
    kubectl.apply(&[order("Restore", "back", &json!({"ipOffice": "hq", "objectStore": store, "source": source}))]);
    kubectl.wait(SPACE, "restore/back", "condition=Complete");
    assert_eq!(differences(&before, &in_use), "", "what was backed up came back, file by file");
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    // Another controller writes both, and may do so only after the restore is complete.
    wait::until_true("the restart to be told", wait::SOON, || {
        let now = kubectl.field(SPACE, "ipo/hq", "{.status.started}");
        !now.is_empty() && now != starts
    });
    wait::until_true("the lock to be free", wait::SOON, || kubectl.field(SPACE, "ipo/hq", "{.status.operation}").is_empty());
    assert!(!plane.log().contains("X-Amz-Signature"), "presigned requests are secrets");
}

/// One file more, one other, one less.
fn spoil(content: &Path) {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![content.join("voicemail/prompts")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files.sort();
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::write(&files[1], "noise").unwrap();
    std::fs::write(files[1].with_file_name("new.wav"), "noise").unwrap();
}

#[test]
fn what_is_backed_up_comes_back_byte_for_byte_from_the_embedded_store() {
    let plane = Plane::start();
    plane.kubectl().apply(&objects::tenancy(SPACE));
    there_and_back(&plane, &plane.bucket(), "default");
}

#[test]
fn what_is_backed_up_comes_back_byte_for_byte_from_seaweedfs() {
    let store = SeaweedFs::start();
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    kubectl.apply(&another_store(&store.bucket));
    kubectl.wait("default", "objectstore/elsewhere", "condition=Ready");
    there_and_back(&plane, &store.bucket, "elsewhere");
}

#[test]
fn with_everything_lost_but_the_store_the_same_manifests_find_their_backups_again() {
    let store = SeaweedFs::start();
    let scratch = Folder::new();
    let before = scratch.path().join("before");
    let manifests: Vec<Value> = objects::tenancy(SPACE).into_iter().chain(another_store(&store.bucket)).chain(network("hq")).collect();
    let id = {
        let plane = Plane::start();
        let kubectl = plane.kubectl();
        kubectl.apply(&manifests);
        kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
        // What the person changed on the system is in the backup, and nowhere else.
        let in_use = content(&plane, &kubectl, "hq");
        spoil(&in_use);
        kubectl.apply(&[order("Backup", "only", &json!({"ipOffice": "hq", "objectStore": "elsewhere"}))]);
        kubectl.wait(SPACE, "backup/only", "condition=Complete");
        copy(&in_use, &before);
        kubectl.field(SPACE, "backup/only", "{.status.backupId}")
    };
    // Another machine: no object, no disk, no authority of before.
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&manifests);
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    let in_use = content(&plane, &kubectl, "hq");
    assert!(!differences(&before, &in_use).is_empty());
    let catalogue = Command::new(harness::switchboard::program())
        .args(["catalogue", "--endpoint", &store.bucket.endpoint, "--bucket", &store.bucket.name])
        .env("AWS_ACCESS_KEY_ID", &store.bucket.key.0)
        .env("AWS_SECRET_ACCESS_KEY", &store.bucket.key.1)
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&catalogue.stdout).into_owned();
    assert!(catalogue.status.success() && listed.contains(&id), "{listed}{}", String::from_utf8_lossy(&catalogue.stderr));
    let now = String::from_utf8(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", "+1 min"]).output().unwrap().stdout).unwrap();
    let spec = json!({"ipOffice": "hq", "objectStore": "elsewhere", "source": {"latestBefore": now.trim()}});
    kubectl.apply(&[order("Restore", "rescue", &spec)]);
    kubectl.wait(SPACE, "restore/rescue", "condition=Complete");
    assert_eq!(kubectl.field(SPACE, "restore/rescue", "{.status.backupId}"), id);
    let parts = ["servers", "voicemail/prompts", "voicemail/configuration"];
    for part in parts {
        assert_eq!(differences(&before.join(part), &in_use.join(part)), "", "{part}");
    }
}

#[test]
fn of_many_orders_one_works_at_a_time_and_of_finished_ones_three_stay() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    let bucket = plane.bucket();
    kubectl.apply(&objects::tenancy(SPACE));
    kubectl.apply(&network("hq"));
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    let watch =
        kubectl.follow(&["get", "backups", "-n", SPACE, "-w", "--no-headers", "-o=custom-columns=N:.metadata.name,P:.status.phase"]);
    let spec = json!({"ipOffice": "hq"});
    let all: Vec<Value> = (1..=5).map(|number| order("Backup", &format!("b{number}"), &spec)).collect();
    kubectl.apply(&all);
    wait::until_true("three backups that stay", wait::SOON, || {
        let phases = kubectl.ok(&["get", "backups", "-n", SPACE, "-o", "jsonpath={.items[*].status.phase}"]);
        phases == "Completed Completed Completed"
    });
    // Never two at a time, by the order in which the server told it.
    let mut working: Option<String> = None;
    for line in watch.lines() {
        let (name, phase) = line.split_once(char::is_whitespace).map(|(name, phase)| (name.to_owned(), phase.trim().to_owned())).unwrap();
        match phase.as_str() {
            "InProgress" => {
                assert!(working.as_ref().is_none_or(|other| *other == name), "{name} began while {working:?} worked");
                working = Some(name);
            }
            "Completed" if working.as_ref() == Some(&name) => working = None,
            _ => {}
        }
    }
    // In the store as well: one more replaced the oldest.
    let manifests = bucket.list().into_iter().filter(|(key, _)| key.ends_with("manifest.json")).count();
    assert_eq!(manifests, 3, "{:?}", bucket.list());
}

#[test]
fn a_scheduled_backup_is_paused_resumed_stopped_and_deleted_and_never_changed() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    kubectl.apply(&network("hq"));
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    let later = json!({"ipOffice": "hq", "startTime": "2036-01-01T02:00:00Z"});
    kubectl.apply(&[order("Backup", "later", &later)]);
    let patch = |spec: &str| ["patch", "backup", "later", "-n", SPACE, "--type=merge", "-p", spec].map(str::to_owned);
    let run = |spec: &str| kubectl.run(&patch(&format!("{{\"spec\":{spec}}}")).each_ref().map(String::as_str));
    kubectl.wait_for_field(SPACE, "backup/later", PHASE, "Scheduled");
    assert_eq!(run("{\"paused\":true}").code, 0);
    kubectl.wait_for_field(SPACE, "backup/later", PHASE, "Paused");
    assert_eq!(run("{\"paused\":false}").code, 0);
    kubectl.wait_for_field(SPACE, "backup/later", PHASE, "Scheduled");
    let refused = run("{\"ipOffice\":\"other\"}");
    assert!(refused.code != 0 && refused.error.contains("create another one"), "{}", refused.error);
    assert_eq!(run("{\"stopped\":true}").code, 0);
    kubectl.wait_for_field(SPACE, "backup/later", PHASE, "Stopped");
    let refused = run("{\"stopped\":false}");
    assert!(refused.code != 0 && refused.error.contains("stopped is final"), "{}", refused.error);
    kubectl.ok(&["delete", "backup", "later", "-n", SPACE, "--timeout=20s"]);
    // A restore cannot be changed at all.
    kubectl.apply(&[order("Restore", "r", &json!({"ipOffice": "nobody", "source": {"backup": "none"}}))]);
    let refused = kubectl.run(&["patch", "restore", "r", "-n", SPACE, "--type=merge", "-p", "{\"spec\":{\"dryRun\":true}}"]);
    assert!(refused.code != 0 && refused.error.contains("cannot be changed"), "{}", refused.error);
    kubectl.ok(&["delete", "restore", "r", "-n", SPACE, "--timeout=20s"]);
}

#[test]
fn a_restore_is_called_off_by_its_deletion_until_the_system_was_told_to_use_it_and_then_it_stays() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    let [office, mut simulated] = network("hq");
    kubectl.apply(&[office, simulated.clone()]);
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    kubectl.apply(&[order("Backup", "first", &json!({"ipOffice": "hq"}))]);
    kubectl.wait(SPACE, "backup/first", "condition=Complete");
    let in_use = content(&plane, &kubectl, "hq");
    let scratch = Folder::new();
    let (before, spoilt) = (scratch.path().join("before"), scratch.path().join("spoilt"));
    copy(&in_use, &before);
    spoil(&in_use);
    copy(&in_use, &spoilt);
    let starts = || kubectl.field(SPACE, "ipo/hq", "{.status.started}");
    let unlocked = || kubectl.field(SPACE, "ipo/hq", "{.status.operation}").is_empty();
    let (started, source) = (starts(), json!({"ipOffice": "hq", "source": {"backup": "first"}}));
    // Slow enough to be met while it fetches.
    simulated["spec"]["causes"]["faults"] = json!({"transfers": {"kilobytesPerSecond": 4}});
    // Away for so long that the restore is still under way when its deletion is asked for.
    simulated["spec"]["causes"]["restore"] = json!({"outageSeconds": 20});
    kubectl.apply(&[simulated.clone()]);
    kubectl.apply(&[order("Restore", "unwanted", &source)]);
    wait::until_true("the system to fetch", wait::SOON, || {
        kubectl.field(SPACE, "restore/unwanted", "{.status.progress}").ends_with("elements fetched and checked")
    });
    kubectl.ok(&["delete", "restore", "unwanted", "-n", SPACE, "--timeout=40s"]);
    wait::until_true("the lock to be free", wait::SOON, unlocked);
    assert_eq!((differences(&spoilt, &in_use).as_str(), starts()), ("", started.clone()), "the system was not touched");
    // Told to put it into use, the system does so.
    simulated["spec"]["causes"]["faults"] = json!({});
    kubectl.apply(&[simulated]);
    kubectl.apply(&[order("Restore", "late", &source)]);
    wait::until_true("the system to be told", wait::SOON, || !kubectl.field(SPACE, "restore/late", "{.status.applyingSince}").is_empty());
    let refused = kubectl.run(&["delete", "restore", "late", "-n", SPACE]);
    assert!(refused.code != 0 && refused.error.contains("restore late is in progress and cannot be deleted"), "{}", refused.error);
    assert_eq!(kubectl.field(SPACE, "ipo/hq", "{.status.operation.name}"), "late", "the lock is kept");
    // It ends by itself, as the refusal says, and can be deleted then.
    kubectl.ok(&["wait", "restore/late", "-n", SPACE, "--for=jsonpath={.status.completionTime}", "--timeout=90s"]);
    kubectl.ok(&["delete", "restore", "late", "-n", SPACE, "--timeout=20s"]);
    assert_eq!(differences(&before, &in_use), "");
    wait::until_true("the lock to be free", wait::SOON, unlocked);
    wait::until_true("the restart to be told", wait::SOON, || {
        let now = starts();
        !now.is_empty() && now != started
    });
}
