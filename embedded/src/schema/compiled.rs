//! What is made once per schema node and kept: regular expressions and CEL programs.

use std::fmt::{Debug, Formatter};
use std::sync::{Arc, OnceLock};

use regex::Regex;

use super::Schema;
use super::cel::Program;

/// The prepared parts of one [`Schema`] node. Clones share them; a node whose pattern or rules are changed needs a fresh one
/// (`Compiled::default()`).
#[derive(Clone, Default)]
pub struct Compiled {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    pattern: OnceLock<Option<Regex>>,
    rules: OnceLock<Vec<Program>>,
    has_rules: OnceLock<bool>,
}

impl Compiled {
    /// The node's pattern; `None` where it has none or it does not compile (which is refused when the schema is parsed).
    pub(super) fn pattern(&self, schema: &Schema) -> Option<&Regex> {
        self.inner
            .pattern
            .get_or_init(|| Some(&schema.pattern).filter(|p| !p.is_empty()).and_then(|pattern| Regex::new(pattern).ok()))
            .as_ref()
    }

    /// The node's rules, in order.
    pub(super) fn rules(&self, schema: &Schema) -> &[Program] {
        self.inner.rules.get_or_init(|| schema.rules.iter().map(Program::compile).collect())
    }

    /// Whether the node or anything below it has rules: without any, nothing needs to be turned into CEL values.
    pub(super) fn has_rules(&self, schema: &Schema) -> bool {
        *self.inner.has_rules.get_or_init(|| {
            let below = |child: &Schema| child.compiled.has_rules(child);
            !schema.rules.is_empty()
                || schema.properties.values().any(|child| below(child))
                || schema.additional.as_deref().is_some_and(below)
                || schema.items.as_deref().is_some_and(below)
                || schema.all_of.iter().any(below)
        })
    }
}

impl Debug for Compiled {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
}
