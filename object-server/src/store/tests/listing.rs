use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::listing::{Item, Query, page};

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize % bound
    }

    fn text(&mut self, longest: usize) -> String {
        const LETTERS: [&str; 8] = ["a", "b", "/", "/", "!", "0", "ü", "🦀"];
        (0..=self.below(longest)).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }
}

/// What S3 lists, computed from all keys.
fn expected(keys: &BTreeSet<String>, query: &Query) -> Vec<String> {
    let mut listed = BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with(&query.prefix)) {
        let rest = &key[query.prefix.len()..];
        match rest.find(&query.delimiter).filter(|_| !query.delimiter.is_empty()) {
            Some(at) => listed.insert(key[..query.prefix.len() + at + query.delimiter.len()].to_owned()),
            None => listed.insert(key.clone()),
        };
    }
    listed.into_iter().collect()
}

/// All pages of a query, one after the other.
fn pages(index: &BTreeMap<Box<[u8]>, ()>, query: &Query) -> Vec<String> {
    let (mut listed, mut query) = (Vec::new(), query.clone());
    loop {
        let page = page(index, &query);
        assert!(page.items.len() <= query.limit);
        listed.extend(page.items.iter().map(|item| String::from_utf8(item.name().to_vec()).unwrap()));
        if !page.more {
            return listed;
        }
        query.after = listed.last().unwrap().clone();
    }
}

#[test]
fn pages_together_are_the_listing_in_the_order_of_bytes() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut keys = BTreeSet::new();
    while keys.len() < 4000 {
        keys.insert(numbers.text(7));
    }
    let index: BTreeMap<Box<[u8]>, ()> = keys.iter().map(|key| (key.as_bytes().into(), ())).collect();
    for round in 0..400 {
        let prefix = if round % 3 == 0 { String::new() } else { numbers.text(3) };
        let delimiter = ["", "/", "a/", "🦀"][numbers.below(4)].to_owned();
        let query = Query { prefix, delimiter, after: String::new(), limit: 1 + numbers.below(50) };
        assert_eq!(pages(&index, &query), expected(&keys, &query), "{query:?}");
    }
}

#[test]
fn a_page_begins_after_what_was_asked_for_whether_it_is_there_or_not() {
    let keys: BTreeSet<String> = ["a", "a/1", "a/2", "b", "c/1"].into_iter().map(String::from).collect();
    let index: BTreeMap<Box<[u8]>, ()> = keys.iter().map(|key| (key.as_bytes().into(), ())).collect();
    let after = |after: &str, delimiter: &str| {
        let query = Query { after: after.into(), delimiter: delimiter.into(), limit: 10, ..Query::default() };
        pages(&index, &query)
    };
    assert_eq!(after("a", ""), ["a/1", "a/2", "b", "c/1"]);
    assert_eq!(after("a/11", ""), ["a/2", "b", "c/1"]);
    assert_eq!(after("a/", "/"), ["b", "c/"]);
    assert_eq!(after("a/1", "/"), ["a/", "b", "c/"]);
    assert_eq!(after("zz", ""), Vec::<String>::new());
    assert!(!page(&index, &Query { limit: 0, ..Query::default() }).more, "a page of nothing has no next");
}

/// Counts how often an entry is taken from the index.
struct Counted(Rc<Cell<usize>>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.set(self.0.get() + 1);
        Self(Rc::clone(&self.0))
    }
}

#[test]
fn a_page_touches_no_more_entries_than_it_has() {
    let count = Rc::new(Cell::new(0));
    let index: BTreeMap<Box<[u8]>, Counted> =
        (0..50_000).map(|number| (format!("{}/{number:06}", number / 1000).into_bytes().into(), Counted(Rc::clone(&count)))).collect();
    let query = Query { prefix: "3".into(), limit: 10, after: "33/033500".into(), ..Query::default() };
    assert_eq!(page(&index, &query).items.len(), 10);
    assert_eq!(count.get(), 10);
    let folders = page(&index, &Query { delimiter: "/".into(), limit: 100, ..Query::default() });
    assert!(folders.items.len() == 50 && folders.items.iter().all(|item| matches!(item, Item::Prefix(_))));
    assert_eq!(count.get(), 10, "the keys of a common prefix are passed over");
}
