//! Sets of fields, and their form in `fieldsV1`.

use std::fmt;

use serde_json::{Map, Value};

use super::element::PathElement;

/// A set of field paths, kept as a tree. A field and the fields below it are members independently of each other:
/// owning `spec.labels` says nothing about `spec.labels.a`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// In the order of their elements; none is empty.
    nodes: Vec<Node>,
}

/// What a set holds at and below one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) element: PathElement,
    /// Whether the path that ends here is in the set.
    pub(super) member: bool,
    pub(super) below: FieldSet,
}

impl FieldSet {
    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds one path. The empty path, the whole object, is never tracked.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.put(first.clone(), true, Self::default());
        } else {
            let mut below = Self::default();
            below.insert(rest);
            self.put(first.clone(), false, below);
        }
    }

    /// Adds what is known of one step: whether it is a member, and what is below it. Fast where elements come in order.
    pub(super) fn put(&mut self, element: PathElement, member: bool, below: Self) {
        if !member && below.is_empty() {
            return;
        }
        if self.nodes.last().is_none_or(|last| last.element < element) {
            self.nodes.push(Node { element, member, below });
            return;
        }
        match self.nodes.binary_search_by(|node| node.element.cmp(&element)) {
            Ok(at) => {
                if let Some(node) = self.nodes.get_mut(at) {
                    node.member |= member;
                    node.below = std::mem::take(&mut node.below).union(below);
                }
            }
            Err(at) => self.nodes.insert(at, Node { element, member, below }),
        }
    }

    /// Whether exactly this path is in the set.
    pub fn has(&self, path: &[PathElement]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.node(first).is_some_and(|node| if rest.is_empty() { node.member } else { node.below.has(rest) })
    }

    pub(super) fn node(&self, element: &PathElement) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| node.element.cmp(element)).ok()?;
        self.nodes.get(at)
    }

    pub(super) fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// What is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        let mut others = other.nodes.into_iter().peekable();
        let mut nodes = Vec::with_capacity(self.nodes.len() + others.len());
        for mut node in self.nodes {
            while let Some(lesser) = others.next_if(|other| other.element < node.element) {
                nodes.push(lesser);
            }
            if let Some(equal) = others.next_if(|other| other.element == node.element) {
                node.member |= equal.member;
                node.below = node.below.union(equal.below);
            }
            nodes.push(node);
        }
        nodes.extend(others);
        Self { nodes }
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut found = Self::default();
        let mut others = other.nodes.iter().peekable();
        for node in &self.nodes {
            while others.next_if(|other| other.element < node.element).is_some() {}
            if let Some(equal) = others.next_if(|other| other.element == node.element) {
                found.put(node.element.clone(), node.member && equal.member, node.below.intersection(&equal.below));
            }
        }
        found
    }

    /// What is in this set and not in the other. A path below a member of the other set stays.
    #[must_use]
    pub fn difference(self, other: &Self) -> Self {
        self.without(other, false)
    }

    /// What is in this set and neither in the other nor below one of its members.
    #[must_use]
    pub fn recursive_difference(self, other: &Self) -> Self {
        self.without(other, true)
    }

    fn without(mut self, other: &Self, recursive: bool) -> Self {
        if other.is_empty() {
            return self;
        }
        let mut others = other.nodes.iter().peekable();
        self.nodes.retain_mut(|node| {
            while others.next_if(|other| other.element < node.element).is_some() {}
            let Some(equal) = others.next_if(|other| other.element == node.element) else { return true };
            if recursive && equal.member {
                return false;
            }
            node.member &= !equal.member;
            node.below = std::mem::take(&mut node.below).without(&equal.below, recursive);
            node.member || !node.below.is_empty()
        });
        self
    }

    /// The members that have no members below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let mut leaves = Self::default();
        for node in &self.nodes {
            leaves.put(node.element.clone(), node.member && node.below.is_empty(), node.below.leaves());
        }
        leaves
    }

    /// Every path in the set: a field before what is below it.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut found = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut found);
        found
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, found: &mut Vec<Vec<PathElement>>) {
        for node in &self.nodes {
            prefix.push(node.element.clone());
            if node.member {
                found.push(prefix.clone());
            }
            node.below.collect_paths(prefix, found);
            prefix.pop();
        }
    }

    /// The set as `fieldsV1`.
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        for node in &self.nodes {
            let mut content = node.below.to_value();
            if let (true, false, Value::Object(content)) = (node.member, node.below.is_empty(), &mut content) {
                content.insert(".".to_owned(), Value::Object(Map::new()));
            }
            fields.insert(node.element.to_text(), content);
        }
        Value::Object(fields)
    }

    /// Reads `fieldsV1`. Steps of an unknown kind are skipped.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let Value::Object(fields) = value else { return Err(format!("expected an object of fields, got {value}")) };
        let mut set = Self::default();
        for (text, content) in fields {
            if text == "." {
                continue;
            }
            let Some(element) = PathElement::parse(text)? else { continue };
            let below = Self::from_value(content)?;
            let member = below.is_empty() || content.get(".").is_some();
            set.put(element, member, below);
        }
        Ok(set)
    }
}

impl FromIterator<Vec<PathElement>> for FieldSet {
    fn from_iter<T: IntoIterator<Item = Vec<PathElement>>>(paths: T) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path);
        }
        set
    }
}

/// The path as error messages write it: `.spec.ports[name="x"].port`.
pub(super) fn path_text(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}

/// One path a line.
impl fmt::Display for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in self.paths() {
            writeln!(f, "{}", path_text(&path))?;
        }
        Ok(())
    }
}
