//! What needs no process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use serde_json::json;

use crate::node::options::RestartDelays;
use crate::node::pod::backoff::Backoff;
use crate::node::pod::mounts::{Mounts, inside};
use crate::node::pod::probes::Counter;
use crate::node::pod::quantity::{resource_field, thousandths};
use crate::node::pod::status::{difference, qos};

#[test]
fn delays_double_up_to_the_longest_and_begin_anew_after_a_long_life() {
    let mut backoff = Backoff::new(RestartDelays::default());
    let seconds: Vec<u64> = (0..12).map(|_| backoff.after(Duration::from_secs(5)).as_secs()).collect();
    assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(backoff.after(Duration::from_secs(600)).as_secs(), 0);
    assert_eq!(backoff.after(Duration::from_secs(599)).as_secs(), 1);
    for _ in 0..100 {
        backoff.after(Duration::ZERO);
    }
    assert_eq!(backoff.after(Duration::ZERO).as_secs(), 300, "many ends overflow nothing");
}

#[test]
fn mount_paths_are_rewritten_where_they_are_paths_and_nowhere_else() {
    let mounts = Mounts::new([("/data".to_owned(), PathBuf::from("/h/d")), ("/data/in/".to_owned(), PathBuf::from("/h/i"))]);
    for (text, expected) in [
        ("/data", "/h/d"),
        ("/data/", "/h/d/"),
        ("/data/x/y", "/h/d/x/y"),
        ("/data/in/x", "/h/i/x"),
        ("/data/inner", "/h/d/inner"),
        ("--dir=/data/x", "--dir=/h/d/x"),
        ("cat /data/a|wc >/data/b; ls '/data'", "cat /h/d/a|wc >/h/d/b; ls '/h/d'"),
        ("a:/data:b", "a:/h/d:b"),
        ("see /data.", "see /h/d."),
        ("file:///data/x", "file:///h/d/x"),
        ("/database", "/database"),
        ("/data.old/x", "/data.old/x"),
        ("/var/data", "/var/data"),
        ("http://host/data", "http://host/data"),
        ("./data", "./data"),
        ("${HOME}/data", "${HOME}/data"),
        ("grüße /data ü", "grüße /h/d ü"),
    ] {
        assert_eq!(mounts.rewrite(text), expected, "{text}");
    }
    assert_eq!(Mounts::new([("/".to_owned(), PathBuf::from("/h"))]).rewrite("/x"), "/x");
    let kept = Mounts::new([("/tmp".to_owned(), PathBuf::from("/tmp/node/v"))]).keeping(Path::new("/tmp/node"));
    assert_eq!(kept.rewrite("/tmp/x --config=/tmp/node/y:/tmp/nodes"), "/tmp/node/v/x --config=/tmp/node/y:/tmp/node/v/nodes");
    let itself = Mounts::new([("/a".to_owned(), PathBuf::from("/a/a"))]);
    assert_eq!(itself.rewrite("/a/b"), "/a/a/b", "what was put in is not looked at again");
}

#[test]
fn a_path_from_a_manifest_stays_in_its_folder() {
    assert_eq!(inside(Path::new("/f"), "a/b").unwrap(), PathBuf::from("/f/a/b"));
    for bad in ["../x", "a/../../x", "/etc"] {
        assert!(inside(Path::new("/f"), bad).unwrap_err().contains(bad));
    }
}

#[test]
fn a_probe_changes_its_verdict_at_its_thresholds_only() {
    let probe: Probe = serde_json::from_value(json!({"failureThreshold": 3, "successThreshold": 2})).unwrap();
    let mut counter = Counter::new(&probe);
    let verdicts: Vec<Option<bool>> =
        [true, true, true, false, false, true, false, false, false, false].map(|ok| counter.take(ok)).to_vec();
    assert_eq!(verdicts, [None, Some(true), None, None, None, None, None, None, Some(false), None]);
}

#[test]
fn quantities_are_read_exactly() {
    for (text, expected) in
        [("100m", 100), ("1.5", 1500), ("2", 2000), ("1Ki", 1_024_000), ("0.5Gi", 536_870_912_000), ("-1", -1000), ("5u", 0)]
    {
        assert_eq!(thousandths(text), Some(expected), "{text}");
    }
    assert_eq!(thousandths("x"), None);
    let container: Container =
        serde_json::from_value(json!({"name": "c", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}})).unwrap();
    assert_eq!(resource_field(&container, "limits.cpu", None).unwrap(), "2");
    assert_eq!(
        resource_field(&container, "limits.memory", Some(&k8s_openapi::apimachinery::pkg::api::resource::Quantity("1Mi".into()))).unwrap(),
        "64"
    );
}

#[test]
fn quality_of_service_follows_requests_and_limits() {
    let with = |resources| {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        qos(&serde_json::from_value(pod).unwrap())
    };
    assert_eq!(with(json!({})), "BestEffort");
    assert_eq!(with(json!({"requests": {"cpu": "1"}})), "Burstable");
    assert_eq!(with(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), "Guaranteed");
    assert_eq!(with(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}})), "Burstable");
}

#[test]
fn an_equal_status_is_no_write_and_a_vanished_reason_is_taken_back() {
    assert_eq!(difference(&json!({"phase": "Running", "theirs": 1}), &json!({"phase": "Running"})), None);
    let patch = difference(&json!({"phase": "Failed", "reason": "Evicted"}), &json!({"phase": "Running"}));
    assert_eq!(patch, Some(json!({"phase": "Running", "reason": null})));
}
