//! Field sets written under another schema than today's.

use super::set::FieldSet;
use super::shape::Shape;

/// What a set means now: fields below a place that has since become owned as a whole count as the place itself.
pub(super) fn reconcile(shape: Shape<'_>, set: FieldSet) -> FieldSet {
    let mut out = FieldSet::default();
    for node in set.into_nodes() {
        let next = shape.step(&node.element);
        if node.below.is_empty() {
            out.put(node.element, node.member, node.below);
        } else if is_atomic(next) {
            out.put(node.element, true, FieldSet::default());
        } else {
            let below = reconcile(next, node.below);
            out.put(node.element, node.member, below);
        }
    }
    out
}

fn is_atomic(shape: Shape<'_>) -> bool {
    matches!(shape, Shape::Known(_)) && !shape.is_granular_map() && !shape.is_granular_list()
}
