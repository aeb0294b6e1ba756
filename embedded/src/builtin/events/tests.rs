#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;

/// An event a client created in `events.k8s.io/v1`, as a Kubernetes 1.36 API server answers it, without what a store adds.
fn in_group() -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "n"},
        "action": "Act", "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null, "deprecatedSource": {},
        "eventTime": "2026-01-01T00:00:00.000000Z", "note": "n", "reason": "R", "type": "Normal",
        "regarding": {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "namespace": "n"},
        "reportingController": "c", "reportingInstance": "i",
    })
}

/// The same event as the server answers it in `v1`.
fn in_core() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "n"},
        "action": "Act", "firstTimestamp": null, "lastTimestamp": null, "source": {},
        "eventTime": "2026-01-01T00:00:00.000000Z", "message": "n", "reason": "R", "type": "Normal",
        "involvedObject": {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "namespace": "n"},
        "reportingComponent": "c", "reportingInstance": "i",
    })
}

#[test]
fn an_event_reads_alike_in_both_groups() {
    assert_eq!(convert(&in_group(), "v1"), in_core());
    assert_eq!(convert(&in_core(), "events.k8s.io/v1"), in_group());
}

#[test]
fn an_event_in_the_wanted_version_stays_as_it_is() {
    assert_eq!(convert(&in_core(), "v1"), in_core());
    assert_eq!(convert(&in_group(), "events.k8s.io/v1"), in_group());
}

#[test]
fn an_old_style_event_keeps_its_count_and_times() {
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"name": "p"}, "reason": "Started",
        "count": 3, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:01:00Z",
        "source": {"component": "kubelet"}, "eventTime": null, "reportingComponent": "", "reportingInstance": "",
    });
    let group = convert(&event, "events.k8s.io/v1");
    assert_eq!(group["deprecatedCount"], 3);
    assert_eq!(group["deprecatedSource"]["component"], "kubelet");
    assert!(group.get("reportingController").is_none(), "an empty reporter is left out: {group}");
    assert_eq!(convert(&group, "v1"), event);
}
