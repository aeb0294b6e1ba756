//! Pages of keys, in the order of their bytes. A page costs about the page, wherever in the bucket it is.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::bucket::{Bucket, Key, Summary};

/// Which keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// Only keys that begin with this.
    pub(crate) prefix: String,
    /// Keys that have this behind the prefix are listed as one, up to it. Empty: none.
    pub(crate) delimiter: String,
    /// Only what comes after this.
    pub(crate) after: String,
    /// Keys and common prefixes on the page.
    pub(crate) limit: usize,
}

/// Something on a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<T> {
    /// A key.
    Key(Key, T),
    /// All keys that begin with this.
    Prefix(Key),
}

impl<T> Item<T> {
    /// What the next page comes after.
    pub(crate) fn name(&self) -> &[u8] {
        match self {
            Self::Key(key, _) => key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<Item<T>>,
    /// Whether more comes after it.
    pub(crate) more: bool,
}

/// The first page after `query.after`.
pub(crate) fn page<T: Clone>(index: &BTreeMap<Key, T>, query: &Query) -> Page<T> {
    let mut page = Page { items: Vec::new(), more: false };
    let prefix = query.prefix.as_bytes();
    let Some(mut start) = start(query) else { return page };
    'seek: loop {
        for (key, value) in index.range::<[u8], _>((start.as_ref().map(|key| &**key), Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                return page;
            }
            if page.items.len() == query.limit {
                // A page of nothing is not continued: it would never get further.
                page.more = query.limit > 0;
                return page;
            }
            match group(key, query) {
                None => page.items.push(Item::Key(key.clone(), value.clone())),
                Some(group) => {
                    page.items.push(Item::Prefix(group.into()));
                    match behind(group) {
                        Some(next) => start = Bound::Included(next),
                        None => return page,
                    }
                    continue 'seek;
                }
            }
        }
        return page;
    }
}

/// Where the page begins. [`None`]: behind every key.
fn start(query: &Query) -> Option<Bound<Key>> {
    let (prefix, after) = (query.prefix.as_bytes(), query.after.as_bytes());
    if after.starts_with(prefix) && group(after, query) == Some(after) {
        // It was a common prefix: all its keys were listed with it.
        return behind(after).map(Bound::Included);
    }
    Some(if after < prefix || after.is_empty() { Bound::Included(prefix.into()) } else { Bound::Excluded(after.into()) })
}

/// The common prefix that a key is listed under.
fn group<'a>(key: &'a [u8], query: &Query) -> Option<&'a [u8]> {
    let (rest, delimiter) = (key.get(query.prefix.len()..)?, query.delimiter.as_bytes());
    if delimiter.is_empty() {
        return None;
    }
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
    key.get(..query.prefix.len() + at + delimiter.len())
}

/// The lowest key above all that begin with this.
fn behind(prefix: &[u8]) -> Option<Key> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.last_mut() {
        if let Some(above) = last.checked_add(1) {
            *last = above;
            return Some(next.into());
        }
        next.pop();
    }
    None
}

impl Bucket {
    /// A page of objects. One whose `object.json` cannot be read is left out, and named in the log.
    pub(crate) fn list(&self, query: &Query) -> Page<Summary> {
        let Page { items, more } = page(&self.read_index(), query);
        let items = items.into_iter().filter_map(|item| match item {
            Item::Prefix(prefix) => Some(Item::Prefix(prefix)),
            Item::Key(key, entry) => match self.summary(&key, &entry) {
                Ok(summary) => Some(Item::Key(key, summary)),
                Err(error) => {
                    tracing::error!(key = %String::from_utf8_lossy(&key), %error, "an object cannot be listed");
                    None
                }
            },
        });
        Page { items: items.collect(), more }
    }
}
