//! Deletion always finishes, or says why not; and leaves nothing behind.

use harness::plane::Plane;
use harness::{objects, processes, wait};
use serde_json::json;

#[test]
fn deleting_systems_customers_and_namespaces_leaves_neither_objects_nor_processes() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    for namespace in ["going", "staying"] {
        kubectl.apply(&objects::tenancy(namespace));
        kubectl.apply(&objects::system(namespace, "one"));
        kubectl.apply(&objects::system(namespace, "two"));
    }
    for (namespace, name) in [("going", "one"), ("going", "two"), ("staying", "one"), ("staying", "two")] {
        kubectl.wait(namespace, &format!("ipo/{name}"), "condition=Ready");
    }
    let process = |namespace: &str, name: &str| {
        let uid = kubectl.field(namespace, &format!("pod/{name}"), "{.metadata.uid}");
        processes::of_pod(&plane.data(), &uid).unwrap_or_else(|| panic!("the pod {name} has no process"))
    };
    let (first, second) = (process("going", "one"), process("going", "two"));
    let bystanders = [process("staying", "one"), process("staying", "two")];

    // A simulated system goes with its pod, process, disk and causes; the IPOffice stays and turns red.
    kubectl.ok(&["delete", "sim/one", "-n", "going", "--timeout=60s"]);
    kubectl.ok(&["wait", "pod/one", "-n", "going", "--for=delete", "--timeout=60s"]);
    wait::until_true("the end of the system's process", wait::SOON, || !processes::runs(first));
    let left = || kubectl.ok(&["get", "pods,pvc,configmaps", "-n", "going", "-l", "app.kubernetes.io/instance=one", "-o", "name"]);
    wait::until_true("disk and causes to go", wait::SOON, || left().is_empty());
    kubectl.wait_for_field("going", "ipo/one", "{.status.connection.colour}", "Red");
    kubectl.wait_for_field("going", "customer/acme", "{.status.systems.red}", "1");
    assert!(processes::runs(second), "the other system is not touched");

    // A customer with systems says what it waits for, and goes once they are gone.
    kubectl.ok(&["delete", "customer/acme", "-n", "going", "--wait=false"]);
    kubectl.wait_for_field("going", "customer/acme", "{.status.conditions[?(@.type==\"Ready\")].reason}", "SystemsRemain");
    let why = kubectl.field("going", "customer/acme", "{.status.conditions[?(@.type==\"Ready\")].message}");
    assert_eq!(why, "the customer is deleted once its systems are gone; delete the IPOffices one, two");
    kubectl.wait_for_field("going", "ipo/two", "{.status.conditions[?(@.type==\"Valid\")].reason}", "CustomerDeleting");
    kubectl.ok(&["delete", "ipo", "--all", "-n", "going", "--timeout=60s"]);
    kubectl.ok(&["wait", "customer/acme", "-n", "going", "--for=delete", "--timeout=60s"]);
    let subscription = || kubectl.run(&["get", "secret/acme-subscription", "-n", "going"]);
    wait::until_true("the customer's subscription to go", wait::SOON, || subscription().error.contains("NotFound"));

    // A namespace takes all with it, even a spec that nothing can be done with.
    let invalid = objects::ip_office("going", "invalid", &json!({"customer": "nobody", "timeZone": "Mars/Olympus"}));
    kubectl.apply(&[invalid]);
    kubectl.ok(&["delete", "namespace", "going", "--timeout=60s"]);
    wait::until_true("the processes of the namespace to end", wait::SOON, || !processes::runs(second));
    // The store is no namespace's.
    let left = kubectl.ok(&["get", "switchboard,pods,secrets,configmaps,pvc", "-n", "going", "-o", "name"]);
    assert_eq!(left, "objectstore.switchboard.dev/default\n");
    assert!(kubectl.refused(&["get", "namespace", "going"], "").contains("NotFound"));

    // Others were not touched.
    assert!(bystanders.iter().all(|id| processes::runs(*id)));
    assert_eq!(plane.simulated_systems().len(), 2);
    assert_eq!(kubectl.field("staying", "customer/acme", "{.status.systems}"), r#"{"amber":0,"green":2,"red":0,"total":2}"#);

    // The same names again are new objects, and become well.
    kubectl.apply(&objects::tenancy("going"));
    kubectl.apply(&objects::system("going", "one"));
    kubectl.wait("going", "ipo/one", "condition=Ready");
}
