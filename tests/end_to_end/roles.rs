//! What the roles of a cluster allow and refuse is the table of USER-1, as far as kinds and verbs can say it; and the rest is listed.
#![allow(clippy::print_stdout, reason = "what was asked and what came of it belongs into the log of a run")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::kubectl::Kubectl;
use harness::objects;
use harness::plane::Plane;
use harness::wait;
use model::roles::{Access, Action, Cell, Grant, Role};
use serde_json::{Value, json};

/// The namespace that people are bound in, and another one.
const OWN: &str = "north";
const OTHER: &str = "south";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn user(role: Role) -> String {
    format!("{}@example.com", role.title().to_lowercase())
}

/// Whoever sees all customers is bound in the whole cluster, the others in their tenancy.
fn binding(role: Role) -> Value {
    let group = "rbac.authorization.k8s.io";
    let (kind, metadata) = if role.sees_all_customers() {
        ("ClusterRoleBinding", json!({"name": user(role)}))
    } else {
        ("RoleBinding", json!({"name": user(role), "namespace": OWN}))
    };
    json!({
        "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role.cluster_role()},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user(role)}],
    })
}

/// The roles as the chart ships them; on the embedded plane they are there already.
fn prepare(kubectl: &Kubectl) {
    let helm = Command::new("python3")
        .args(["tools/helm.py", "template", "switchboard", "charts/switchboard", "-s", "templates/roles.yaml"])
        .current_dir(checkout())
        .output()
        .unwrap();
    assert!(helm.status.success(), "{}", String::from_utf8_lossy(&helm.stderr));
    kubectl.ok_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &String::from_utf8(helm.stdout).unwrap(), &[]);
    kubectl.apply(&[objects::namespace(OWN), objects::namespace(OTHER)]);
    kubectl.apply(&Role::ALL.map(binding));
    for role in Role::ALL {
        wait::until_true(&format!("the rights of {}", role.title()), wait::SOON, || {
            may(kubectl, role, "get", "customers.switchboard.dev", OWN)
        });
    }
}

/// `kubectl auth can-i`.
fn may(kubectl: &Kubectl, role: Role, verb: &str, resource: &str, namespace: &str) -> bool {
    let outcome = kubectl.run(&["auth", "can-i", verb, resource, "-n", namespace, "--as", &user(role)]);
    match (outcome.code, outcome.out.trim()) {
        (0, "yes") => true,
        (1, "no") => false,
        _ => panic!("kubectl auth can-i {verb} {resource}: {} {} {}", outcome.code, outcome.out, outcome.error),
    }
}

fn resources(access: &Access) -> Vec<String> {
    let of = |name: &&str| if access.group.is_empty() { (*name).to_owned() } else { format!("{name}.{}", access.group) };
    access.resources.iter().map(of).collect()
}

/// Every verb on every kind of a row, once.
fn asked(action: Action) -> Vec<(&'static str, String)> {
    let accesses = action.access().unwrap_or_default();
    accesses
        .iter()
        .flat_map(|access| resources(access).into_iter().flat_map(|name| access.verbs.iter().map(move |verb| (verb.name(), name.clone()))))
        .collect()
}

#[test]
fn kubectl_auth_can_i_equals_the_table_for_every_role_and_every_cell() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    prepare(&kubectl);
    let mut told = BTreeMap::new();
    let mut cells = 0;
    for cell in Cell::all().filter(|cell| cell.action.access().is_ok()) {
        // What is granted within bounds that verbs do not know is withheld.
        let expected = cell.grant == Grant::Yes && cell.unexpressed().is_none();
        for (verb, resource) in asked(cell.action) {
            let key = (cell.role, verb, resource.clone());
            let answer = *told.entry(key).or_insert_with(|| may(&kubectl, cell.role, verb, &resource, OWN));
            assert_eq!(answer, expected, "{}: {} ({verb} {resource})", cell.role.title(), cell.action.title());
        }
        cells += 1;
        println!(
            "{:<14} {:<45} {}",
            cell.role.title(),
            cell.action.title().chars().take(45).collect::<String>(),
            if expected {
                "yes"
            } else if cell.unexpressed().is_some() {
                "withheld"
            } else {
                "no"
            }
        );
    }
    println!("{cells} cells, {} questions to kubectl auth can-i", told.len());

    // In another tenancy only those who see all customers see anything.
    for role in Role::ALL {
        assert_eq!(may(&kubectl, role, "list", "customers.switchboard.dev", OTHER), role.sees_all_customers(), "{}", role.title());
        for resource in ["secrets", "pods", "rolebindings.rbac.authorization.k8s.io"] {
            assert!(!may(&kubectl, role, "get", resource, OWN), "{} may get {resource}", role.title());
            assert!(!may(&kubectl, role, "create", resource, OWN), "{} may create {resource}", role.title());
        }
    }
}

#[test]
fn what_a_role_may_not_is_refused_and_what_it_may_is_done() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    prepare(&kubectl);
    kubectl.apply(&[objects::secret(OWN, objects::SECRET, objects::PASSWORD), objects::customer(OWN, "acme", &json!({}))]);
    kubectl.apply(&[objects::ip_office(OWN, "shop", &json!({}))]);
    // Paused, so that it is there for as long as the test needs it.
    let order = |name: &str| {
        let spec = json!({"ipOffice": "shop", "paused": true, "startTime": "2100-01-01T00:00:00Z"});
        json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": "Backup", "metadata": {"name": name, "namespace": OWN}, "spec": spec})
            .to_string()
    };
    for role in Role::ALL {
        let (who, name) = (user(role), role.title().to_lowercase());
        let backup = order(&name);
        if model::roles::may(role, Action::Backup) == Grant::Yes {
            kubectl.ok_with(&["create", "-f", "-", "--as", &who], &backup, &[]);
            kubectl.ok(&["patch", "backup", &name, "-n", OWN, "--type=merge", "-p", r#"{"spec":{"stopped":true}}"#, "--as", &who]);
            kubectl.ok(&["delete", "backup", &name, "-n", OWN, "--as", &who]);
        } else {
            let refused = kubectl.refused(&["create", "-f", "-", "--as", &who], &backup);
            assert!(refused.contains("is forbidden") && refused.contains("cannot create resource \"backups\""), "{refused}");
        }
        let edit = ["patch", "customer", "acme", "-n", OWN, "--type=merge", "-p", r#"{"spec":{"notes":"seen"}}"#, "--as", &who];
        assert_eq!(kubectl.run(&edit).code == 0, role == Role::Administrator, "{} edits customers", role.title());
        let listed = kubectl.ok(&["get", "customers,ipoffices,registrations,backups,restores,events", "-n", OWN, "--as", &who]);
        assert!(listed.contains("customer.switchboard.dev/acme") && listed.contains("ipoffice.switchboard.dev/shop"), "{listed}");
    }
}

#[test]
fn cells_that_kinds_and_verbs_cannot_say_are_those_that_the_page_lists() {
    let page = std::fs::read_to_string(checkout().join("docs/roles.md")).unwrap();
    let listed: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |") && line.matches(" | ").count() == 2).collect();
    let mut expected = Vec::new();
    for action in Action::ALL {
        let cells: Vec<Cell> = Cell::all().filter(|cell| cell.action == action && cell.unexpressed().is_some()).collect();
        let who = if cells.len() == Role::ALL.len() {
            "every role".to_owned()
        } else {
            cells.iter().map(|cell| cell.role.title()).collect::<Vec<_>>().join(", ")
        };
        if let Some(reason) = cells.first().and_then(|cell| cell.unexpressed()) {
            expected.push(format!("| {} | {who} | {reason} |", action.title()));
        }
    }
    println!("for the dashboard:\n{}", expected.join("\n"));
    let of_the_page: Vec<&str> = listed.into_iter().filter(|line| !line.starts_with("| row ") && !line.starts_with("|---")).collect();
    assert_eq!(of_the_page, expected, "docs/roles.md lists other cells");
}
