//! The hand-written pages say what the code says: messages in their order, metrics by their names, links that lead somewhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use model::connectivity::Message;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| if path.is_dir() { files(&path, extension) } else { vec![path] };
    entries.flat_map(of).filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// Rows `| 1 | … |` of a table whose rows are numbered, as cells.
fn numbered_rows(text: &str, prefix: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix(prefix)?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    cells.filter(|cells| cells[0].parse::<usize>().is_ok()).collect()
}

#[test]
fn the_table_of_messages_is_the_one_in_the_code() {
    let page = numbered_rows(&read("docs/concepts.md"), "| ");
    let code = numbered_rows(&read("model/src/connectivity.rs"), "//! | ");
    assert_eq!(page.len(), Message::ALL.len());
    for (at, (row, message)) in page.iter().zip(Message::ALL).enumerate() {
        assert_eq!(row[..4], code[at][..], "row {} differs from model/src/connectivity.rs", at + 1);
        assert_eq!(row[2].trim_matches('`').trim_end_matches(" <duration>"), message.text());
        assert_eq!(row[4].trim_matches('`'), message.reason());
    }
}

#[test]
fn every_message_has_a_remedy_in_the_operations_guide() {
    let page = read("docs/operations.md");
    for message in Message::ALL {
        assert!(page.contains(&format!("| `{}", message.text())), "docs/operations.md says nothing about {message:?}");
    }
}

/// Words of the code in quotes that begin like a metric.
fn metrics_in_code() -> BTreeSet<String> {
    let folders = ["gateway/src", "runtime/src", "controllers/src", "operator/src"];
    let sources = folders.iter().flat_map(|folder| files(&root().join(folder), "rs"));
    let texts: Vec<String> = sources.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let of = |prefix: &str| texts.iter().flat_map(|text| words(text, "\"", prefix, '"')).collect::<Vec<_>>();
    of("switchboard_").into_iter().chain(of("process_")).collect()
}

/// Words that begin with `prefix`, between `before` and `end`.
fn words(text: &str, before: &str, prefix: &str, end: char) -> Vec<String> {
    let letter = |c: &char| c.is_ascii_lowercase() || *c == '_';
    let start = format!("{before}{prefix}");
    let after = text.split(&start).skip(1);
    let named = after.filter(|part| part.trim_start_matches(|c| letter(&c)).starts_with(end));
    named.map(|part| format!("{prefix}{}", part.chars().take_while(letter).collect::<String>())).collect()
}

#[test]
fn the_table_of_metrics_names_what_the_code_exposes_and_nothing_else() {
    let code = metrics_in_code();
    assert!(code.len() >= 30, "{code:?}");
    let page = read("docs/metrics.md");
    let page = ["switchboard_", "process_"].into_iter().flat_map(|prefix| words(&page, "\n| `", prefix, '`')).collect::<BTreeSet<String>>();
    assert_eq!(page, code, "left docs/metrics.md, right the code");
}

#[test]
fn alert_rules_use_series_that_exist_and_each_has_its_section_in_the_operations_guide() {
    let mut known = metrics_in_code();
    let rules: serde_json::Value = serde_yaml::from_str(&read("charts/switchboard/files/alerts.yaml")).unwrap();
    let rules: Vec<&serde_json::Value> =
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() >= 20);
    let page = read("docs/operations.md");
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        for used in names(expression) {
            assert!(known.contains(&used), "{used} in {expression} does not exist");
        }
        if let Some(recorded) = rule["record"].as_str() {
            known.extend(names(recorded));
            continue;
        }
        let (name, notes) = (rule["alert"].as_str().unwrap(), &rule["annotations"]);
        assert!(page.lines().any(|line| line == format!("### {name}")), "docs/operations.md says nothing about {name}");
        assert!(notes["runbook_url"].as_str().unwrap().ends_with(&format!("/docs/operations.md#{}", name.to_lowercase())), "{name}");
        assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        assert!(notes["summary"].is_string() && notes["description"].is_string(), "{name}");
    }
    let explained = page.lines().filter_map(|line| line.strip_prefix("### Switchboard"));
    for name in explained {
        assert!(
            read("charts/switchboard/files/alerts.yaml").contains(&format!("- alert: Switchboard{name}\n")),
            "there is no Switchboard{name}"
        );
    }
}

/// Names of metrics of ours in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("switchboard_")).map(str::to_owned).collect()
}

#[test]
fn links_between_pages_lead_to_files_and_headings() {
    let mut pages = files(&root().join("docs"), "md");
    pages.extend(["README.md", "CHANGELOG.md", "examples/README.md"].map(|name| root().join(name)));
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target} leads nowhere", page.display());
            if !heading.is_empty() {
                let found = std::fs::read_to_string(&file).unwrap().lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{}: {target} has no such heading", page.display());
            }
        }
    }
}

/// As GitHub makes them.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_decision_is_in_the_index_and_has_all_its_parts() {
    let folder = root().join("docs/decisions");
    let index = read("docs/decisions/README.md");
    for path in files(&folder, "md").into_iter().filter(|path| !path.ends_with("README.md")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(index.contains(&format!("]({name})")), "{name} is not in the index");
        let text = std::fs::read_to_string(&path).unwrap();
        for part in ["## Context", "## Decision", "## Consequences", "## Risk accepted"] {
            assert!(text.contains(part), "{name} has no part {part}");
        }
    }
}
