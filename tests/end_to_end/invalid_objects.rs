//! Objects that cannot be right: refused at once where the schema can tell, a condition where it cannot, and nothing else is disturbed.

use harness::kubectl::{Kubectl, documents};
use harness::objects;
use harness::plane::Plane;
use serde_json::{Value, json};

fn server(name: &str, role: &str) -> Value {
    json!({"name": name, "role": role})
}

#[test]
fn what_cannot_be_right_is_refused_with_the_rule_it_breaks() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("rules"));
    let office = |spec: Value| objects::ip_office("rules", "office", &spec);
    let client = |spec: Value| objects::customer("rules", "client", &spec);
    let cases = [
        (
            office(json!({"servers": [server("a", "Secondary")]})),
            "servers must have exactly one with the role Primary: it is the one that connects",
        ),
        (
            office(json!({"servers": [server("a", "Primary"), server("b", "Primary")]})),
            "servers must have exactly one with the role Primary",
        ),
        (
            office(json!({"servers": [server("a", "Primary"), server("b", "Expansion")]})),
            "an IP500 V2 can have a Primary, application servers and UCM modules only; Secondary and Expansion belong to the profile Server Edition",
        ),
        (
            office(
                json!({"profile": "Server Edition", "servers": [server("a", "Primary"), server("b", "Secondary"), server("c", "Secondary")]}),
            ),
            "servers can have at most one with the role Secondary",
        ),
        (
            office(json!({"profile": "ACCS", "servers": [server("a", "Primary"), server("b", "UCM")]})),
            "an ACCS has one server, its Primary",
        ),
        (office(json!({"servers": [server("a", "Switchboard")]})), "spec.servers[0].role: Unsupported value: \"Switchboard\""),
        (office(json!({"servers": [server("a", "Primary"), server("a", "UCM")]})), "spec.servers[1]: Duplicate value"),
        (
            office(json!({"certificates": {"automaticPhoneProvisioning": true}})),
            "automaticPhoneProvisioning works only together with automaticCertificateManagement: true",
        ),
        (
            office(json!({"voicemailBackup": {"mailboxes": ["200"]}})),
            "mailboxes are backed up only with selectiveMailboxes: true; set it, or remove the mailboxes",
        ),
        (office(json!({"systemId": "No-Hyphens"})), "spec.systemId in body should match '^[a-z0-9]+$'"),
        (
            office(json!({"tunnels": [{"name": "a", "application": "SSH", "serverAddress": "10.0.0.1", "port": 70000}]})),
            "spec.tunnels[0].port",
        ),
        (office(json!({"customer": null})), "spec.customer: Required value"),
        (office(json!({"colour": "Green"})), "unknown field \"spec.colour\""),
        (client(json!({"tags": ["1", "2", "3", "4", "5", "6"]})), "spec.tags: Too many: 6: must have at most 5 items"),
        (client(json!({"tags": ["food", "food"]})), "spec.tags[1]: Duplicate value: \"food\""),
        (client(json!({"contact": {"email": "nobody"}})), "spec.contact.email"),
        (client(json!({"displayName": ""})), "spec.displayName"),
    ];
    for (object, message) in &cases {
        let manifest = documents(std::slice::from_ref(object));
        let refused = kubectl.refused(&["apply", "-f", "-"], &manifest);
        assert!(refused.contains(message), "expected {message:?} for\n{manifest}\nbut kubectl said\n{refused}");
    }
    assert_eq!(
        kubectl.ok(&["get", "ipo,customers", "-n", "rules", "-o", "name"]),
        "customer.switchboard.dev/acme\n",
        "nothing of it was kept"
    );

    ids_and_customers_never_change(&kubectl);
}

fn ids_and_customers_never_change(kubectl: &Kubectl) {
    kubectl.apply(&[
        objects::customer("rules", "with-id", &json!({"customerId": "withid"})),
        objects::ip_office("rules", "office", &json!({})),
        objects::ip_office("rules", "numbered", &json!({"systemId": "n1"})),
        objects::simulated_system("rules", "office", &json!({})),
    ]);
    let customer = "customerId cannot be changed, added or removed once the customer exists";
    let system = "systemId cannot be changed, added or removed once the system exists";
    for (name, patch, message) in [
        ("customer/with-id", json!({"customerId": "other"}), customer),
        ("customer/with-id", json!({"customerId": null}), customer),
        ("customer/acme", json!({"customerId": "added"}), customer),
        ("ipo/office", json!({"customer": "with-id"}), "customer cannot be changed: host names and backups carry it"),
        ("ipo/office", json!({"systemId": "added"}), system),
        ("ipo/numbered", json!({"systemId": "n2"}), system),
        ("sim/office", json!({"customer": "with-id"}), "customer cannot be changed: the system's disk belongs to one subscription"),
    ] {
        let patch = json!({"spec": patch}).to_string();
        let refused = kubectl.refused(&["patch", name, "-n", "rules", "--type=merge", "-p", &patch], "");
        assert!(refused.contains(message), "expected {message:?} for {name} {patch} but kubectl said\n{refused}");
    }
}

/// Reason and message of a condition.
fn condition(kubectl: &Kubectl, name: &str, kind: &str) -> (String, String) {
    let path = |field: &str| format!("{{.status.conditions[?(@.type==\"{kind}\")].{field}}}");
    (kubectl.field("conditions", name, &path("reason")), kubectl.field("conditions", name, &path("message")))
}

fn wait_for_reason(kubectl: &Kubectl, name: &str, kind: &str, reason: &str) -> String {
    kubectl.wait_for_field("conditions", name, &format!("{{.status.conditions[?(@.type==\"{kind}\")].reason}}"), reason);
    condition(kubectl, name, kind).1
}

#[test]
fn what_only_the_operator_can_tell_is_a_condition_and_goes_with_its_cause() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy("conditions"));
    kubectl.apply(&objects::system("conditions", "well"));
    kubectl.apply(&[
        objects::ip_office("conditions", "zone", &json!({"timeZone": "Europe/Atlantis"})),
        objects::ip_office("conditions", "orphan", &json!({"customer": "nobody"})),
        objects::ip_office("conditions", "secretless", &json!({"serviceUser": {"passwordSecret": {"name": "missing"}}})),
        objects::ip_office(
            "conditions",
            "tunnelled",
            &json!({"tunnels": [{"name": "t", "application": "SSH", "serverAddress": "10.0.0.1", "through": "gone"}]}),
        ),
        objects::ip_office("conditions", "older", &json!({"systemId": "same"})),
    ]);
    let zone = wait_for_reason(&kubectl, "ipo/zone", "Valid", "UnknownTimeZone");
    assert_eq!(zone, "there is no time zone Europe/Atlantis; use an IANA name such as Europe/London");
    let orphan = wait_for_reason(&kubectl, "ipo/orphan", "Valid", "CustomerNotFound");
    assert!(orphan.starts_with("there is no Customer nobody in this namespace; create it"), "{orphan}");
    let secret = wait_for_reason(&kubectl, "ipo/secretless", "Valid", "SecretNotFound");
    assert!(secret.starts_with("there is no Secret missing with the service user's password in this namespace; create it"), "{secret}");
    let tunnel = wait_for_reason(&kubectl, "ipo/tunnelled", "Valid", "UnknownServer");
    assert!(tunnel.contains("the tunnel t goes through the server gone, which spec.servers does not have"), "{tunnel}");
    assert_eq!(
        kubectl.field("conditions", "ipo/zone", "{.status.conditions[?(@.type==\"Ready\")].reason}"),
        "UnknownTimeZone",
        "Ready says it too"
    );

    // Ids: the younger one gives way, and takes over once the older one is gone.
    kubectl.wait("conditions", "ipo/older", "condition=Valid");
    kubectl.apply(&[objects::ip_office("conditions", "younger", &json!({"systemId": "same"}))]);
    let duplicate = wait_for_reason(&kubectl, "ipo/younger", "Valid", "DuplicateSystemId");
    assert!(duplicate.starts_with("the system id same belongs to the older system conditions/older;"), "{duplicate}");
    assert_eq!(condition(&kubectl, "ipo/older", "Valid").0, "Accepted");
    kubectl.apply(&[
        objects::customer("conditions", "first", &json!({"customerId": "one", "displayName": "Twins"})),
        objects::customer("conditions", "second", &json!({"customerId": "one"})),
        objects::customer("conditions", "third", &json!({"displayName": "Twins"})),
    ]);
    let duplicate = wait_for_reason(&kubectl, "customer/second", "Ready", "DuplicateCustomerId");
    assert!(duplicate.starts_with("the customer id one belongs to the older customer conditions/first;"), "{duplicate}");
    let duplicate = wait_for_reason(&kubectl, "customer/third", "Ready", "DuplicateDisplayName");
    assert_eq!(duplicate, "the older customer conditions/first has the same spec.displayName; change one of them");

    // Each goes with its cause.
    kubectl.ok(&["patch", "ipo/zone", "-n", "conditions", "--type=merge", "-p", r#"{"spec":{"timeZone":"Europe/Athens"}}"#]);
    kubectl.apply(&[
        objects::customer("conditions", "nobody", &json!({})),
        objects::secret("conditions", "missing", objects::PASSWORD),
        objects::ip_office("conditions", "tunnelled", &json!({"servers": [server("gone", "Primary")], "tunnels": [{"name": "t", "application": "SSH", "serverAddress": "10.0.0.1", "through": "gone"}]})),
    ]);
    kubectl.ok(&["delete", "ipo/older", "customer/first", "-n", "conditions", "--timeout=60s"]);
    for name in ["ipo/zone", "ipo/orphan", "ipo/secretless", "ipo/tunnelled", "ipo/younger"] {
        kubectl.wait("conditions", name, "condition=Valid");
    }
    for name in ["customer/second", "customer/third"] {
        kubectl.wait("conditions", name, "condition=Ready");
    }
    // And a system beside all of this was well all the time.
    kubectl.wait("conditions", "ipo/well", "condition=Ready");
}
