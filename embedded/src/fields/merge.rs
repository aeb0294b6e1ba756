//! Merging an applied configuration into an object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::element::PathElement;
use super::shape::{Form, Shape};

/// Writes what `config` says into `live`. Nothing is removed; where both say something, `config` wins.
pub(super) fn merge(shape: Shape<'_>, live: &mut Value, config: &Value) {
    let replace = match (&mut *live, shape.form(config)) {
        (Value::Object(into), Form::Map(config)) if shape.is_granular_map() => {
            for (name, value) in config {
                match into.get_mut(name) {
                    Some(old) => merge(shape.member(name).shape, old, value),
                    None => {
                        into.insert(name.clone(), value.clone());
                    }
                }
            }
            false
        }
        (Value::Array(into), Form::List(config)) if shape.is_granular_list() => {
            *into = merge_lists(shape, std::mem::take(into), config);
            false
        }
        // Null says "a map or list without anything in it", and merging nothing changes nothing.
        (Value::Object(into), Form::Leaf) if config.is_null() && shape.is_granular_map() => into.is_empty(),
        (Value::Array(into), Form::Leaf) if config.is_null() && shape.is_granular_list() => into.is_empty(),
        _ => true,
    };
    if replace {
        live.clone_from(config);
    }
}

/// Items of both lists: those of `config` in its order, those only in `live` where they stand between their neighbours.
fn merge_lists(shape: Shape<'_>, live: Vec<Value>, config: &[Value]) -> Vec<Value> {
    let live_keys: Vec<PathElement> = live.iter().enumerate().map(|(position, item)| shape.stored_key(position, item)).collect();
    let config_keys: Vec<PathElement> = config.iter().enumerate().map(|(position, item)| shape.stored_key(position, item)).collect();
    let mut places: BTreeMap<&PathElement, Vec<usize>> = BTreeMap::new();
    for (position, key) in live_keys.iter().enumerate() {
        places.entry(key).or_default().push(position);
    }
    let named: BTreeSet<&PathElement> = config_keys.iter().collect();

    // For every place in the configuration, the first item at or after it that both lists have.
    let mut next_shared: Vec<Option<&PathElement>> = Vec::with_capacity(config_keys.len());
    for key in config_keys.iter().rev() {
        let later = next_shared.last().copied().flatten();
        next_shared.push(if places.contains_key(key) { Some(key) } else { later });
    }
    next_shared.reverse();

    let mut live: Vec<Option<Value>> = live.into_iter().map(Some).collect();
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let mut left = live_keys.iter().enumerate().peekable();
    for ((wanted, value), next) in config_keys.iter().zip(config).zip(next_shared) {
        while let Some((position, key)) =
            left.next_if(|(_, key)| *key != wanted && (!named.contains(key) || (next.is_some() && next != Some(*key))))
        {
            // A live item that the configuration does not name stays where it is; a shared one goes where the configuration has it.
            if !named.contains(key) {
                merged.extend(live.get_mut(position).and_then(Option::take));
            }
        }
        if next.is_none() {
            left.next_if(|(_, key)| *key != wanted);
        }
        left.next_if(|(_, key)| *key == wanted);
        let old = match places.get(wanted).map(Vec::as_slice) {
            Some([only]) => live.get_mut(*only).and_then(Option::take),
            // Items with one key more than once are not merged but replaced.
            _ => None,
        };
        merged.push(merged_item(shape.item(), old, value));
    }
    for (position, key) in left {
        if !named.contains(key) {
            merged.extend(live.get_mut(position).and_then(Option::take));
        }
    }
    merged
}

fn merged_item(shape: Shape<'_>, old: Option<Value>, config: &Value) -> Value {
    match old {
        Some(mut old) => {
            merge(shape, &mut old, config);
            old
        }
        None => config.clone(),
    }
}
