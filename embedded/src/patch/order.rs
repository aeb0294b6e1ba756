//! The order of a merged list: what the patch orders, then what was there.

use serde_json::Value;

/// How items are recognised: by a member, or as a whole.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a>(pub Option<&'a str>);

impl Identity<'_> {
    /// Whether two items are one. Objects without the key are never.
    pub(super) fn same(self, left: &Value, right: &Value) -> bool {
        match self.0 {
            Some(key) => left.get(key).is_some_and(|left| Some(left) == right.get(key)),
            None => left == right,
        }
    }

    fn position(self, list: &[Value], item: &Value) -> Option<usize> {
        list.iter().position(|other| self.same(other, item))
    }
}

/// Puts `merged` in order: items that `wanted` names follow its order, all others keep theirs, and an item of the one sort comes
/// before one of the other only where it already did in `before`; new ones come last.
pub(super) fn arrange(merged: Vec<Value>, wanted: &[Value], before: &[Value], identity: Identity) -> Vec<Value> {
    let (mut ordered, others): (Vec<_>, Vec<_>) = merged.into_iter().partition(|item| identity.position(wanted, item).is_some());
    ordered.sort_by_key(|item| identity.position(wanted, item));
    let mut result = Vec::with_capacity(ordered.len() + others.len());
    let mut ordered = ordered.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(left), Some(right)) = (ordered.peek(), others.peek()) {
        let first = match (identity.position(before, left), identity.position(before, right)) {
            (Some(left), Some(right)) => left < right,
            _ => false,
        };
        result.extend(if first { ordered.next() } else { others.next() });
    }
    result.extend(others);
    result.extend(ordered);
    result
}
