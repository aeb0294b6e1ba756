//! Where in an expression a mistake is, shown the way CEL compilers show it.

use super::check::BAD_PATTERN;

/// `ERROR: <input>:1:8: undeclared reference to 'x' …` with the line and a mark below it. The parser keeps no places, so the name that a
/// problem quotes is looked for; a problem without one is at the start. What already says its place stays as it is.
pub(super) fn shown(text: &str, problem: &str) -> String {
    if problem.starts_with("ERROR") {
        return problem.replace("\n| ", "\n | ");
    }
    let name = problem.split('\'').nth(1).unwrap_or_default();
    let of_field = problem.starts_with("undefined field");
    let at = if problem == BAD_PATTERN { of_pattern(text) } else { place(text, name, of_field) }.unwrap_or(0);
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let number = text[..at].matches('\n').count() + 1;
    let line = text[line_start..].lines().next().unwrap_or_default();
    let column = text[line_start..at].chars().count();
    format!("ERROR: <input>:{number}:{}: {problem}\n | {line}\n | {}^", column + 1, ".".repeat(column))
}

/// Where a name stands as a word of its own: at the dot before it if it is a field, at the bracket behind it if it is a function.
fn place(text: &str, name: &str, of_field: bool) -> Option<usize> {
    if name.is_empty() {
        return None;
    }
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).map(|(at, _)| at).find_map(|at| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let alone = !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word);
        if alone && !of_field && after == Some('(') {
            return Some(at + name.len());
        }
        match (alone, before == Some('.')) {
            (true, true) if of_field => Some(of_presence_test(&text[..at]).unwrap_or(at - 1)),
            (true, false) if !of_field => Some(at),
            _ => None,
        }
    })
}

/// Where the argument of `matches` stands.
fn of_pattern(text: &str) -> Option<usize> {
    text.find("matches(").map(|at| at + "matches(".len())
}

/// In `has(a.b)` the mistake is shown at the bracket.
fn of_presence_test(before: &str) -> Option<usize> {
    let chain = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "_.".contains(c));
    chain.ends_with("has(").then(|| chain.len() - 1)
}
