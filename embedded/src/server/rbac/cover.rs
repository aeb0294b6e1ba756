//! Whether rules allow all that other rules allow.
//!
//! As in Kubernetes, rules are broken down to one verb and one resource or path each, and one held rule must cover each piece.

use std::collections::BTreeMap;

use super::rule::Rule;

/// One verb on one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Resource { group: String, resource: String, name: Option<String> },
    Path(String),
}

/// What of `wanted` no rule of `held` covers, in Kubernetes' words; verbs on the same thing together.
pub(super) fn missing(held: &[&Rule], wanted: &[Rule]) -> Vec<String> {
    let mut lacking: BTreeMap<Thing, Vec<&str>> = BTreeMap::new();
    for rule in wanted {
        for thing in things(rule) {
            for verb in &rule.verbs {
                if !held.iter().any(|held| covers(held, verb, &thing)) {
                    let verbs = lacking.entry(thing.clone()).or_default();
                    if !verbs.contains(&verb.as_str()) {
                        verbs.push(verb);
                    }
                }
            }
        }
    }
    let mut sentences: Vec<String> = lacking.iter().map(|(thing, verbs)| describe(thing, verbs)).collect();
    sentences.sort();
    sentences
}

fn things(rule: &Rule) -> Vec<Thing> {
    let names: Vec<Option<&String>> = if rule.names.is_empty() { vec![None] } else { rule.names.iter().map(Some).collect() };
    let mut things: Vec<Thing> = rule.paths.iter().cloned().map(Thing::Path).collect();
    for group in &rule.groups {
        for resource in &rule.resources {
            for name in &names {
                things.push(Thing::Resource { group: group.clone(), resource: resource.clone(), name: name.cloned() });
            }
        }
    }
    things
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

fn covers(held: &Rule, verb: &str, thing: &Thing) -> bool {
    if !has(&held.verbs, verb) {
        return false;
    }
    match thing {
        Thing::Resource { group, resource, name } => {
            let every = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
            has(&held.groups, group)
                && (has(&held.resources, resource) || every.is_some_and(|every| held.resources.contains(&every)))
                && (held.names.is_empty() || name.as_ref().is_some_and(|name| held.names.contains(name)))
        }
        Thing::Path(path) => held.paths.iter().any(|entry| match entry.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => entry == path,
        }),
    }
}

fn describe(thing: &Thing, verbs: &[&str]) -> String {
    let list = |words: &[&str]| format!("[{}]", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" "));
    let verbs = list(verbs);
    match thing {
        Thing::Path(path) => format!("{{NonResourceURLs:{}, Verbs:{verbs}}}", list(&[path])),
        Thing::Resource { group, resource, name } => {
            let names = name.as_ref().map(|name| format!(", ResourceNames:{}", list(&[name]))).unwrap_or_default();
            format!("{{APIGroups:{}, Resources:{}{names}, Verbs:{verbs}}}", list(&[group]), list(&[resource]))
        }
    }
}

#[cfg(test)]
mod tests;
