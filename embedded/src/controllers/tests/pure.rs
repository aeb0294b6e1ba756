//! Judgement and graph, without a server.

use std::sync::Arc;

use serde_json::Value;

use crate::controllers::graph::{Graph, Known};
use crate::controllers::inventory::{Item, Owner};
use crate::controllers::judgement::{Policy, Verdict, judge};
use crate::controllers::kinds::Kind;
use crate::controllers::namespaces::{Remaining, conditions};

fn kind(namespaced: bool) -> Arc<Kind> {
    let text = |text: &str| text.to_owned();
    Arc::new(Kind { group: text(""), version: text("v1"), kind: text("Thing"), plural: text("things"), namespaced, verbs: Vec::new() })
}

fn item(uid: &str, owners: &[(&str, bool)]) -> Item {
    let owner = |(uid, blocks): &(&str, bool)| Owner {
        api_version: "v1".into(),
        kind: "Thing".into(),
        name: (*uid).to_owned(),
        uid: (*uid).to_owned(),
        blocks: *blocks,
    };
    Item {
        kind: kind(true),
        namespace: "n".into(),
        name: uid.to_owned(),
        uid: uid.to_owned(),
        owners: owners.iter().map(owner).collect(),
        deleting: false,
        foreground: false,
        orphan: false,
    }
}

fn judged(item: &Item, known: &[Known], dependents: &[Item]) -> Verdict {
    let owners: Vec<(Owner, Known)> = item.owners.iter().cloned().zip(known.iter().copied()).collect();
    judge(item, &owners, dependents)
}

#[test]
fn an_object_goes_only_when_all_its_owners_are_gone() {
    let two = item("x", &[("a", false), ("b", false)]);
    let (there, waits) = (Known::Present { waits: false }, Known::Present { waits: true });
    assert_eq!(judged(&two, &[there, there], &[]), Verdict::Keep);
    assert_eq!(judged(&two, &[there, Known::Gone], &[]), Verdict::Disown(vec!["b".into()]));
    assert_eq!(judged(&two, &[there, waits], &[]), Verdict::Disown(vec!["b".into()]));
    assert_eq!(judged(&two, &[Known::Gone, Known::Gone], &[]), Verdict::Delete(Policy::Background));
    assert_eq!(judged(&two, &[Known::Gone, Known::Unknown], &[]), Verdict::Disown(vec!["a".into()]), "what is not known is not gone");
    assert_eq!(judged(&two, &[Known::Impossible, Known::Impossible], &[]), Verdict::Keep);
    assert_eq!(judged(&two, &[waits, Known::Gone], &[]), Verdict::Delete(Policy::Background));
    assert_eq!(judged(&two, &[waits, Known::Gone], &[item("y", &[("x", true)])]), Verdict::Delete(Policy::Foreground));
    let mut going = two;
    going.deleting = true;
    assert_eq!(judged(&going, &[Known::Gone, Known::Gone], &[]), Verdict::Keep);
}

#[test]
fn foreground_deletion_waits_for_dependents_that_block_and_orphaning_sets_them_free() {
    let mut owner = item("o", &[]);
    owner.deleting = true;
    owner.foreground = true;
    assert_eq!(judged(&owner, &[], &[item("x", &[("o", false)])]), Verdict::Release);
    let dependents = [item("x", &[("o", true)]), item("y", &[("o", false)])];
    assert_eq!(judged(&owner, &[], &dependents), Verdict::Await(vec!["x".into(), "y".into()]));
    owner.foreground = false;
    owner.orphan = true;
    assert_eq!(judged(&owner, &[], &dependents), Verdict::SetFree(vec!["x".into(), "y".into()]));
}

#[test]
fn the_graph_names_who_is_to_be_looked_at() {
    let mut graph = Graph::default();
    assert!(graph.apply(item("o", &[])).is_empty());
    assert_eq!(graph.apply(item("x", &[("o", true)])), ["x"]);
    let x = graph.get("x").unwrap().clone();
    assert_eq!(graph.owner(&x, &x.owners[0]), Known::Present { waits: false });
    let mut going = item("o", &[]);
    going.deleting = true;
    going.foreground = true;
    assert_eq!(graph.apply(going), ["o"]);
    assert_eq!(graph.owner(&x, &x.owners[0]), Known::Present { waits: true });
    assert_eq!(graph.remove("x"), ["o"], "the owner waited for it");
    graph.apply(item("y", &[("o", false)]));
    assert_eq!(graph.remove("o"), ["y"]);
    let y = graph.get("y").unwrap().clone();
    assert_eq!(graph.owner(&y, &y.owners[0]), Known::Gone);
}

#[test]
fn an_object_that_is_seen_again_was_never_gone() {
    let mut graph = Graph::default();
    graph.apply(item("o", &[]));
    graph.apply(item("x", &[("o", false)]));
    graph.remove("o");
    graph.apply(item("o", &[]));
    let x = graph.get("x").unwrap().clone();
    assert_eq!(graph.owner(&x, &x.owners[0]), Known::Present { waits: false });
}

#[test]
fn a_reference_across_namespaces_or_down_into_one_does_not_hold() {
    let mut graph = Graph::default();
    graph.apply(item("o", &[]));
    let mut elsewhere = item("x", &[("o", false)]);
    elsewhere.namespace = "other".into();
    assert_eq!(graph.owner(&elsewhere, &elsewhere.owners[0]), Known::Unknown, "it has to be asked for by its name in that namespace");
    let mut cluster = item("c", &[("o", false)]);
    cluster.kind = kind(false);
    assert_eq!(graph.owner(&cluster, &cluster.owners[0]), Known::Impossible);
}

#[test]
fn a_namespace_says_what_is_left_and_keeps_its_times() {
    let mut remaining = Remaining::default();
    remaining.objects.insert("pods".into(), 2);
    remaining.finalizers.insert("a/b".into(), 1);
    let time = "2026-01-01T00:00:00Z".parse().unwrap();
    let first = conditions(&remaining, &Value::Null, time);
    assert_eq!(first[3]["message"], "Some resources are remaining: pods. has 2 resource instances");
    assert_eq!(first[4]["message"], "Some content in the namespace has finalizers remaining: a/b in 1 resource instances");
    let later = "2026-01-01T00:01:00Z".parse().unwrap();
    assert_eq!(conditions(&remaining, &first, later), first);
    let second = conditions(&Remaining::default(), &first, later);
    assert_eq!((&second[3]["status"], &second[3]["lastTransitionTime"]), (&"False".into(), &"2026-01-01T00:01:00Z".into()));
    assert_eq!(second[0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
}
