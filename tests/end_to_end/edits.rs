//! Objects made and changed by hand: create, edit, patch, label, annotate, replace.

use harness::kubectl::documents;
use harness::objects;
use harness::plane::Plane;
use serde_json::json;

#[test]
fn objects_are_made_and_changed_by_hand_and_the_system_follows() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    let tenancy = documents(&objects::tenancy("by-hand"));
    let created = kubectl.ok_with(&["create", "-f", "-"], &tenancy, &[]);
    assert_eq!(created, "namespace/by-hand created\nsecret/service-user created\ncustomer.switchboard.dev/acme created\n");
    assert!(kubectl.refused(&["create", "-f", "-"], &tenancy).contains("(AlreadyExists)"));
    kubectl.apply(&objects::system("by-hand", "office"));
    kubectl.wait("by-hand", "ipo/office", "condition=Ready");

    // edit, as with an editor
    let editor = [("KUBE_EDITOR", "sed -i -e '0,/centralizedManagement: true/s//centralizedManagement: true\\n    remoteAccess: true/'")];
    assert_eq!(kubectl.ok_with(&["edit", "ipo/office", "-n", "by-hand"], "", &editor), "ipoffice.switchboard.dev/office edited\n");
    kubectl.wait_for_field("by-hand", "ipo/office", "{.status.remoteOperations.remoteAccess}", "true");
    let untouched = kubectl.run_with(&["edit", "ipo/office", "-n", "by-hand"], "", &[("KUBE_EDITOR", "true")]);
    assert!(untouched.code == 0 && untouched.error.contains("no changes made"), "{untouched:?}");
    let refused = [("KUBE_EDITOR", "sed -i -e 's/customer: acme/customer: other/'")];
    let refused = kubectl.run_with(&["edit", "ipo/office", "-n", "by-hand"], "", &refused);
    assert_eq!(refused.code, 1, "{refused:?}");
    // What was typed is not lost: it is in a file, with the reason.
    let kept = refused.error.split('"').find(|word| word.ends_with(".yaml")).unwrap_or_else(|| panic!("{refused:?}"));
    let text = std::fs::read_to_string(kept).unwrap();
    assert!(text.contains("customer cannot be changed") && text.contains("customer: other"), "{text}");
    std::fs::remove_file(kept).unwrap();

    // patch: merge and JSON
    let merge = r#"{"spec":{"timeZone":"Europe/Lisbon"}}"#;
    kubectl.ok(&["patch", "ipo/office", "-n", "by-hand", "--type=merge", "-p", merge]);
    kubectl.wait_for_field("by-hand", "ipo/office", "{.status.timeZone}", "Europe/Lisbon");
    let operations =
        r#"[{"op":"test","path":"/spec/timeZone","value":"Europe/Lisbon"},{"op":"replace","path":"/spec/timeZone","value":"Asia/Tokyo"}]"#;
    kubectl.ok(&["patch", "ipo/office", "-n", "by-hand", "--type=json", "-p", operations]);
    kubectl.wait_for_field("by-hand", "ipo/office", "{.status.timeZone}", "Asia/Tokyo");
    let stale = kubectl.refused(&["patch", "ipo/office", "-n", "by-hand", "--type=json", "-p", operations], "");
    assert!(stale.contains("The request is invalid"), "{stale}");
    kubectl.wait("by-hand", "ipo/office", "condition=Configured");

    // label and annotate change no generation, and are found again
    let generation = kubectl.field("by-hand", "ipo/office", "{.metadata.generation}");
    kubectl.ok(&["label", "ipo/office", "-n", "by-hand", "region=north"]);
    kubectl.ok(&["annotate", "ipo/office", "-n", "by-hand", "example.com/note=on the second floor"]);
    assert_eq!(kubectl.ok(&["get", "ipo", "-A", "-l", "region in (north, east)", "-o", "name"]), "ipoffice.switchboard.dev/office\n");
    assert_eq!(kubectl.ok(&["get", "ipo", "-A", "-l", "region!=north", "-o", "name"]), "");
    assert!(kubectl.refused(&["label", "ipo/office", "-n", "by-hand", "region=south"], "").contains("--overwrite"));
    kubectl.ok(&["label", "ipo/office", "-n", "by-hand", "region-"]);
    assert_eq!(kubectl.field("by-hand", "ipo/office", "{.metadata.labels.region}"), "");
    assert_eq!(kubectl.field("by-hand", "ipo/office", "{.metadata.generation}"), generation);

    // Set aside: said in a condition, and nothing is done until it is taken back.
    kubectl.ok(&["annotate", "ipo/office", "-n", "by-hand", "switchboard.dev/paused=for the audit"]);
    kubectl.wait("by-hand", "ipo/office", "condition=Paused");
    kubectl.ok(&["patch", "ipo/office", "-n", "by-hand", "--type=merge", "-p", r#"{"spec":{"timeZone":"Europe/Oslo"}}"#]);
    harness::metrics::wait_until_at_rest(&plane);
    assert_eq!(kubectl.field("by-hand", "ipo/office", "{.status.timeZone}"), "Asia/Tokyo");
    kubectl.ok(&["annotate", "ipo/office", "-n", "by-hand", "switchboard.dev/paused-"]);
    kubectl.wait_for_field("by-hand", "ipo/office", "{.status.timeZone}", "Europe/Oslo");

    // What get printed, one object or a list of them, can be applied again, where nobody has written to it since.
    harness::metrics::wait_until_at_rest(&plane);
    for arguments in [&["get", "ipo/office", "-n", "by-hand", "-o", "yaml"][..], &["get", "ipo,customers", "-n", "by-hand", "-o", "yaml"]] {
        let printed = kubectl.ok(arguments);
        let applied = kubectl.ok_with(&["apply", "-f", "-"], &printed, &[]);
        assert!(applied.contains("ipoffice.switchboard.dev/office "), "{applied}");
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [objects::customer("by-hand", "typing", &json!({"tagz": []}))]});
    // In a list kubectl looks by itself where the server offers the older description of its kinds, and says it in other words.
    let refused = kubectl.refused(&["apply", "-f", "-"], &list.to_string());
    assert!(refused.contains("unknown field \"spec.tagz\"") || refused.contains("unknown field \"tagz\""), "{refused}");

    // replace needs the version that was read
    let mut stale = kubectl.object("by-hand", "customer/acme");
    kubectl.ok(&["patch", "customer/acme", "-n", "by-hand", "--type=merge", "-p", r#"{"spec":{"notes":"first"}}"#]);
    stale["spec"]["notes"] = json!("second");
    assert!(kubectl.refused(&["replace", "-f", "-"], &stale.to_string()).contains("the object has been modified"));
    assert_eq!(kubectl.field("by-hand", "customer/acme", "{.spec.notes}"), "first");
}
