//! Manifests as files: applied once, twice, by the server, compared.

use std::path::Path;

use harness::plane::Plane;

#[test]
fn the_examples_apply_once_and_then_nothing_changes() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    let count = count_objects(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"));
    assert!(count > 10, "there are only {count} objects under examples/");

    let first = kubectl.ok(&["apply", "-R", "-f", "examples/"]);
    assert_eq!(first.lines().filter(|line| line.ends_with(" created")).count(), count, "{first}");
    // While the operator works on them: what it writes is not what the manifests say.
    let second = kubectl.ok(&["apply", "-R", "-f", "examples/"]);
    assert!(second.lines().all(|line| line.ends_with(" unchanged")) && second.lines().count() == count, "{second}");

    let difference = kubectl.run(&["diff", "-R", "-f", "examples/"]);
    assert_eq!((difference.code, difference.out.as_str()), (0, ""), "{}", difference.error);

    kubectl.wait("demo", "ipo/acme-hq", "condition=Ready");
    let settled = kubectl.ok(&["apply", "-R", "-f", "examples/"]);
    assert!(settled.lines().all(|line| line.ends_with(" unchanged")), "{settled}");

    // Server-side: the same objects under another manager, twice; the second time nothing is written.
    let server_side = ["apply", "--server-side", "-R", "-f", "examples/"];
    assert_eq!(kubectl.ok(&server_side).lines().filter(|line| line.ends_with(" serverside-applied")).count(), count);
    // The operator may still have something to say about it.
    harness::metrics::wait_until_at_rest(&plane);
    let generation = kubectl.field("demo", "ipo/acme-hq", "{.metadata.generation} {.metadata.resourceVersion}");
    kubectl.ok(&server_side);
    assert_eq!(kubectl.field("demo", "ipo/acme-hq", "{.metadata.generation} {.metadata.resourceVersion}"), generation);
    let difference = kubectl.run(&["diff", "--server-side", "-R", "-f", "examples/"]);
    assert_eq!((difference.code, difference.out.as_str()), (0, ""), "{}", difference.error);
}

#[test]
fn a_server_side_apply_is_merged_with_what_others_own_and_conflicts_are_named() {
    let plane = Plane::start();
    let kubectl = plane.kubectl();
    let manifest = |spec: &str| {
        format!(
            "apiVersion: switchboard.dev/v1alpha1\nkind: Customer\nmetadata: {{name: acme, namespace: default}}\nspec: {{displayName: Acme, {spec}}}\n"
        )
    };
    let apply = |manager: &str, spec: &str| {
        kubectl.run_with(&["apply", "--server-side", "--field-manager", manager, "-f", "-"], &manifest(spec), &[])
    };
    assert_eq!(apply("office", "tags: [food], notes: from the office").code, 0);
    assert_eq!(apply("warehouse", "tags: [cold]").code, 0);
    assert_eq!(kubectl.field("default", "customer/acme", "{.spec.tags}"), r#"["food","cold"]"#, "a set is merged");
    let conflict = apply("warehouse", "notes: from the warehouse");
    assert!(conflict.code == 1 && conflict.error.contains("conflict with \"office\": .spec.notes"), "{}", conflict.error);

    // What a manager no longer applies, and nobody else owns, goes.
    assert_eq!(apply("office", "tags: []").code, 0);
    assert_eq!(kubectl.field("default", "customer/acme", "{.spec.tags}{.spec.notes}"), r#"["cold"]"#);

    // A difference is shown, and said by the exit code.
    let difference = kubectl.run_with(&["diff", "-f", "-"], &manifest("notes: other"), &[]);
    assert_eq!(difference.code, 1, "{}", difference.error);
    assert!(difference.out.contains("+  notes: other"), "{}", difference.out);
    assert_eq!(kubectl.field("default", "customer/acme", "{.spec.notes}"), "", "a diff changes nothing");
}

/// Documents in all manifests under a folder.
fn count_objects(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += count_objects(&path);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
            count += std::fs::read_to_string(&path).unwrap().lines().filter(|line| line.starts_with("kind: ")).count();
        }
    }
    count
}
