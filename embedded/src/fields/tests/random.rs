//! Rules that hold for any sequence of writes.

use serde_json::{Map, Value, json};

use super::super::entries::Entries;
use super::super::manage::{managed_of, take_managed};
use super::super::{FieldSet, Writer, apply, keep_times, set_of, update};
use super::custom::widget;
use super::{at, writer};

const VERSION: &str = "difft.example.com/v1";

/// A small generator (xorshift), so that every run tries the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn chance(&mut self) -> bool {
        self.below(2) == 0
    }

    fn some(&mut self, words: &[&str]) -> Vec<String> {
        let mut chosen: Vec<String> = words.iter().filter(|_| self.chance()).map(|word| (*word).to_owned()).collect();
        if self.chance() {
            chosen.reverse();
        }
        chosen
    }

    /// A random specification: any part may be absent, values come from few, so that writers meet. No list or map is empty: applying
    /// an empty one is not applying it, and on a real server too such a configuration may take two applies to come to rest.
    fn spec(&mut self) -> Value {
        let mut spec = Map::new();
        spec.insert("mode".to_owned(), json!(if self.chance() { "fast" } else { "slow" }));
        if self.chance() {
            spec.insert("replicas".to_owned(), json!(self.below(3)));
        }
        if self.chance() {
            spec.insert("tags".to_owned(), json!(self.some(&["a", "b", "c"])));
        }
        if self.chance() {
            spec.insert("args".to_owned(), json!(self.some(&["1", "2"])));
        }
        if self.chance() {
            let labels: Map<String, Value> =
                self.some(&["x", "y", "z"]).into_iter().map(|name| (name, json!(self.below(2).to_string()))).collect();
            spec.insert("labels".to_owned(), Value::Object(labels));
        }
        if self.chance() {
            let ports: Vec<Value> = self
                .some(&["h", "i", "j"])
                .into_iter()
                .map(
                    |name| if self.chance() { json!({"name": name, "port": self.below(2)}) } else { json!({"name": name, "proto": "UDP"}) },
                )
                .collect();
            spec.insert("ports".to_owned(), Value::Array(ports));
        }
        if self.chance() {
            spec.insert("extra".to_owned(), json!({"deep": {"n": self.below(2)}, "list": [self.below(2)]}));
        }
        spec.retain(|_, value| *value != json!([]) && *value != json!({}));
        json!({"apiVersion": VERSION, "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
    }
}

/// Everything that some manager owns, by the manager.
fn owners(object: &Value) -> Vec<(String, FieldSet)> {
    let entries = Entries::decode(managed_of(object)).unwrap();
    entries.iter().map(|entry| (format!("{} {:?}", entry.identity.manager, entry.identity.operation), entry.set.clone())).collect()
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    take_managed(&mut object);
    object
}

/// Runs many random writes; after each, `check` sees the state before, the state after, and who wrote (`None`: an update).
fn explore(seed: u64, check: impl Fn(&Value, &Value, &str, Option<&Value>)) {
    let mut random = Random(seed);
    let mut live = random.spec();
    update(&widget(), None, &mut live, &writer("creator", VERSION));
    for step in 0..400 {
        let manager = ["A", "B", "C"][usize::try_from(random.below(3)).unwrap()];
        let time = at(step);
        let writer = Writer { time: &time, ..writer(manager, VERSION) };
        let config = random.spec();
        let before = live.clone();
        if random.below(4) == 0 {
            live = config;
            update(&widget(), Some(&before), &mut live, &writer);
            check(&before, &live, manager, None);
        } else {
            live = apply(&widget(), Some(&before), &config, &writer, true).unwrap();
            keep_times(&before, &mut live);
            check(&before, &live, manager, Some(&config));
        }
    }
}

#[test]
fn applying_twice_is_applying_once() {
    explore(0x5eed, |_, after, manager, config| {
        let Some(config) = config else { return };
        let later = Writer { time: "2027-01-01T00:00:00Z", ..writer(manager, VERSION) };
        assert_eq!(&apply(&widget(), Some(after), config, &later, false).unwrap(), after);
    });
}

#[test]
fn what_was_applied_is_there() {
    explore(0xfeed, |_, after, _, config| {
        let Some(config) = config else { return };
        let set = set_of(&widget(), config);
        let there = set_of(&widget(), &without_managers(after));
        assert!(set.clone().difference(&there).leaves().is_empty(), "{}", set.difference(&there));
    });
}

#[test]
fn nobody_owns_what_is_not_there() {
    explore(0xbead, |_, after, _, _| {
        let there = set_of(&widget(), &without_managers(after));
        for (manager, set) in owners(after) {
            let missing = set.leaves().difference(&there);
            // Owning a structure or list outlives what was in it.
            let values: Vec<_> = missing.paths().into_iter().filter(|path| path.len() > 2).collect();
            assert!(values.is_empty(), "{manager} owns {missing} of {after}");
        }
    });
}

#[test]
fn applying_takes_nothing_away_that_others_apply() {
    explore(0xcafe, |before, after, manager, config| {
        if config.is_none() {
            return;
        }
        let there = set_of(&widget(), &without_managers(after));
        for (owner, set) in owners(before) {
            // What an updater set inside an item that somebody else applied goes with the item.
            if owner == format!("{manager} Apply") || !owner.ends_with("Apply") {
                continue;
            }
            let owned = set.leaves().intersection(&set_of(&widget(), &without_managers(before)).leaves());
            let lost = owned.difference(&there);
            assert!(lost.is_empty(), "{owner} lost {lost} to {manager}: {before} -> {after}");
        }
    });
}

#[test]
fn an_update_is_booked_completely() {
    explore(0xabba, |before, after, manager, config| {
        if config.is_some() {
            return;
        }
        let changes = super::super::compare(&widget(), &without_managers(before), &without_managers(after), false);
        let written = changes.added.union(changes.modified);
        for (owner, set) in owners(after) {
            if owner == format!("{manager} Update") {
                assert!(written.clone().difference(&set).is_empty());
            } else {
                assert!(set.intersection(&written).is_empty(), "{owner} kept what {manager} wrote");
            }
            assert!(set.intersection(&changes.removed).is_empty(), "{owner} kept what {manager} removed");
        }
    });
}

#[test]
fn a_small_write_to_a_large_object_is_quick() {
    let labels: Map<String, Value> = (0..100).map(|number| (format!("label-{number}"), json!("some value of a label"))).collect();
    let ports: Vec<Value> = (0..40).map(|number| json!({"name": format!("port-{number}"), "port": number})).collect();
    let mut live = json!({"metadata": {"name": "w", "uid": "u"}, "spec": {"mode": "fast", "labels": labels, "ports": ports}});
    update(&widget(), None, &mut live, &writer("creator", VERSION));
    let start = std::time::Instant::now();
    let rounds = 50;
    for _ in 0..rounds {
        let mut new = live.clone();
        new["spec"]["mode"] = json!("slow");
        update(&widget(), Some(&live), &mut new, &writer("other", VERSION));
    }
    let each = start.elapsed() / rounds;
    // Some hundred microseconds unoptimised; the bound is wide as machines are busy, and only catches work that grows with the square.
    assert!(each < std::time::Duration::from_millis(50), "{each:?}");
}
