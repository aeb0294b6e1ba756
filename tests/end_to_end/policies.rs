//! Admission policies: Switchboard's own, and those a user brings.

use harness::switchboard::Switchboard;
use harness::{objects, wait};
use serde_json::{Value, json};

const SPACE: &str = "policies";

fn backup(name: &str) -> Value {
    json!({
        "apiVersion": "switchboard.dev/v1alpha1", "kind": "Backup", "metadata": {"name": name, "namespace": SPACE},
        "spec": {"ipOffice": "hq"}
    })
}

/// A system and how fast it sends.
fn system(speed: &Value) -> [Value; 2] {
    let causes = json!({"content": {"extensions": 50}, "faults": speed});
    [
        objects::ip_office(SPACE, "hq", &json!({"remoteOperations": {"remoteUpgradeBackup": true}})),
        objects::simulated_system(SPACE, "hq", &causes),
    ]
}

#[test]
fn a_running_backup_cannot_be_deleted_stopped_or_given_another_status_and_goes_with_its_namespace() {
    let plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    let slow = json!({"transfers": {"kilobytesPerSecond": 1}});
    kubectl.apply(&system(&slow));
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    kubectl.apply(&[backup("running")]);
    kubectl.wait_for_field(SPACE, "backup/running", "{.status.phase}", "InProgress");
    let refused = kubectl.refused(&["delete", "backup", "running", "-n", SPACE], "");
    let wanted = "backup running is in progress and cannot be deleted; it ends by itself: kubectl wait backup/running -n policies --for=jsonpath='{.status.completionTime}' --timeout=1h";
    assert!(refused.contains(wanted), "{refused}");
    let patch = |part: &[&str], patch: &str| {
        let command = [&["patch", "backup", "running", "-n", SPACE, "--type=merge", "-p", patch], part].concat();
        kubectl.refused(&command, "")
    };
    let refused = patch(&[], r#"{"spec":{"stopped":true}}"#);
    assert!(refused.contains("a backup in progress can be neither paused nor stopped"), "{refused}");
    let refused = patch(&["--subresource=status"], r#"{"status":{"phase":"Completed"}}"#);
    assert!(refused.contains("the status is what the operator system:serviceaccount:switchboard-system:switchboard reports"), "{refused}");
    assert_eq!(kubectl.field(SPACE, "backup/running", "{.status.phase} {.metadata.deletionTimestamp}"), "InProgress ");
    // A namespace takes what runs in it with it.
    kubectl.ok(&["delete", "namespace", SPACE, "--timeout=90s"]);
}

#[test]
fn a_backup_that_has_ended_can_be_deleted_as_the_refusal_says() {
    let plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    kubectl.apply(&system(&json!({"transfers": {"kilobytesPerSecond": 1}})));
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    kubectl.apply(&[backup("first")]);
    kubectl.wait_for_field(SPACE, "backup/first", "{.status.phase}", "InProgress");
    let refused = kubectl.refused(&["delete", "backup", "first", "-n", SPACE], "");
    assert!(refused.contains("--for=jsonpath='{.status.completionTime}'"), "{refused}");
    kubectl.apply(&system(&json!({})));
    kubectl.ok(&["wait", "backup/first", "-n", SPACE, "--for=jsonpath={.status.completionTime}", "--timeout=100s"]);
    kubectl.ok(&["delete", "backup", "first", "-n", SPACE, "--timeout=20s"]);
}

#[test]
fn a_users_own_policy_refuses_and_warns_until_its_binding_is_taken_away() {
    let plane = Switchboard::start(&["--bare"]);
    let kubectl = plane.kubectl();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "replicas"},
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [
                {"operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments", "deployments/scale"]}
            ]},
            "variables": [{"name": "most", "expression": "int(params.data.most)"}],
            "validations": [{
                "expression": "object.spec.replicas <= variables.most",
                "messageExpression": "'at most ' + string(variables.most) + ' replicas, not ' + string(object.spec.replicas)"
            }]
        }
    });
    let binding = |action: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "replicas"},
            "spec": {
                "policyName": "replicas", "validationActions": [action],
                "paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}
            }
        })
    };
    let limits =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "default"}, "data": {"most": "2"}});
    kubectl.apply(&[limits, policy, binding("Deny")]);
    let create = ["create", "deployment", "web", "--image=nothing", "--replicas=3"];
    let refused = kubectl.refused(&create, "");
    let wanted = "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'replicas' with binding 'replicas' denied request: at most 2 replicas, not 3";
    assert!(refused.contains(wanted), "{refused}");
    kubectl.ok(&["create", "deployment", "web", "--image=nothing", "--replicas=2"]);
    let refused = kubectl.refused(&["scale", "deployment", "web", "--replicas=5"], "");
    assert!(refused.contains("at most 2 replicas, not 5"), "{refused}");
    kubectl.apply(&[binding("Warn")]);
    let warned = kubectl.run(&["scale", "deployment", "web", "--replicas=5"]);
    let wanted = "Warning: Validation failed for ValidatingAdmissionPolicy 'replicas' with binding 'replicas': at most 2 replicas, not 5";
    assert!(warned.code == 0 && warned.error.contains(wanted), "{}", warned.error);
    assert!(kubectl.ok(&["get", "validatingadmissionpolicies"]).contains("v1/ConfigMap"));
    // With its parameters gone nothing passes any more; with the binding gone everything does.
    kubectl.apply(&[binding("Deny")]);
    kubectl.ok(&["delete", "configmap", "limits"]);
    let refused = kubectl.refused(&["scale", "deployment", "web", "--replicas=1"], "");
    assert!(refused.contains("no params found for policy binding with `Deny` parameterNotFoundAction"), "{refused}");
    kubectl.ok(&["delete", "validatingadmissionpolicybinding", "replicas"]);
    kubectl.ok(&["scale", "deployment", "web", "--replicas=9"]);
    wait::until_true("the deployment to be scaled", wait::SOON, || kubectl.field("default", "deployment/web", "{.spec.replicas}") == "9");
}
