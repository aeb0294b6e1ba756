//! What names, keys and label values may look like, with Kubernetes' words for what is wrong.

use std::sync::OnceLock;

use regex::Regex;

/// A check: what is wrong with a text, in as many sentences as there are faults.
pub(super) type Check = fn(&str) -> Vec<String>;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_OF_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";

fn matches(pattern: &'static str, cell: &'static OnceLock<Option<Regex>>, text: &str) -> bool {
    cell.get_or_init(|| Regex::new(&format!("^{pattern}$")).ok()).as_ref().is_some_and(|regex| regex.is_match(text))
}

macro_rules! matches {
    ($pattern:expr, $text:expr) => {{
        static CELL: OnceLock<Option<Regex>> = OnceLock::new();
        matches($pattern, &CELL, $text)
    }};
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

/// The rule, examples and the expression itself.
fn rule(sentence: &str, examples: &[&str], pattern: &str) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{sentence} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

/// The name of most objects: labels with dots between.
pub(super) fn subdomain(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 253 {
        faults.push(too_long(253));
    }
    if !matches!(SUBDOMAIN, name) {
        let sentence = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        faults.push(rule(sentence, &["example.com"], SUBDOMAIN));
    }
    faults
}

/// One label of a host name: names of namespaces, containers, volumes.
pub(super) fn label(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 63 {
        faults.push(too_long(63));
    }
    if !matches!(LABEL, name) {
        // A name with dots is a good subdomain, but not wanted here: the reader learns the difference.
        let sentence = if matches!(SUBDOMAIN, name) {
            return [faults, vec!["must not contain dots".to_owned()]].concat();
        } else {
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
        };
        faults.push(rule(sentence, &["my-name", "123-abc"], LABEL));
    }
    faults
}

/// A label that starts with a letter: names of Services.
pub(super) fn label_of_1035(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 63 {
        faults.push(too_long(63));
    }
    if !matches!(LABEL_OF_1035, name) {
        let sentence = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        faults.push(rule(sentence, &["my-name", "abc-123"], LABEL_OF_1035));
    }
    faults
}

/// What can stand between two slashes of a path: names of roles and their bindings.
pub(super) fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    let mut faults: Vec<String> =
        ["/", "%"].iter().filter(|part| name.contains(**part)).map(|part| format!("may not contain '{part}'")).collect();
    // Kubernetes lets them through. Here they would reach terminals and logs, and NUL separates the parts of a key in the data file.
    if name.chars().any(char::is_control) {
        faults.push("may not contain control characters".to_owned());
    }
    faults
}

/// Keys of labels and annotations, finalizers: a name, with a domain and a slash before it or not.
pub(super) fn qualified(name: &str) -> Vec<String> {
    const SENTENCE: &str =
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    const EXAMPLES: &[&str] = &["MyName", "my.name", "123-abc"];
    let mut faults = Vec::new();
    let name = match name.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(subdomain(prefix).into_iter().map(|fault| format!("prefix part {fault}")));
            }
            name
        }
        _ => {
            let sentence = rule(&format!("a qualified name {SENTENCE}"), EXAMPLES, QUALIFIED);
            return vec![format!("{sentence} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        faults.push(format!("name part {}", too_long(63)));
    }
    if !matches!(QUALIFIED, name) {
        faults.push(rule(&format!("name part {SENTENCE}"), EXAMPLES, QUALIFIED));
    }
    faults
}

/// Values of labels.
pub(super) fn label_value(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > 63 {
        faults.push(too_long(63));
    }
    if !matches!(LABEL_VALUE, value) {
        let sentence = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        faults.push(rule(sentence, &["MyValue", "my_value", "12345"], LABEL_VALUE));
    }
    faults
}

/// Keys in the data of ConfigMaps and Secrets, which become file names.
pub(super) fn config_key(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if key.len() > 253 {
        faults.push(too_long(253));
    }
    if !matches!(CONFIG_KEY, key) {
        let sentence = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        faults.push(rule(sentence, &["key.name", "KEY_NAME", "key-name"], CONFIG_KEY));
    }
    match key {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// Names of ports in containers and of target ports.
pub(super) fn port_name(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 15 {
        faults.push("must be no more than 15 characters".to_owned());
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') || name.is_empty() {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.chars().any(|c| c.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_have_no_faults() {
        let good: &[(Check, &[&str])] = &[
            (subdomain, &["a", "a-b.c", "0.1"]),
            (label, &["a", "0-1"]),
            (label_of_1035, &["a-1"]),
            (path_segment, &["system:node", "A B"]),
            (qualified, &["a", "example.com/A_b.c"]),
            (label_value, &["", "A_b.c"]),
            (config_key, &["a.b", "_X-y"]),
            (port_name, &["http", "a-1"]),
        ];
        for (check, names) in good {
            for name in *names {
                assert_eq!(check(name), Vec::<String>::new(), "{name}");
            }
        }
    }

    #[test]
    fn bad_names_have_faults() {
        let bad: &[(Check, &[&str])] = &[
            (subdomain, &["", "A", "a_b", "-a", "a..b"]),
            (label, &["", "A", "a.b"]),
            (label_of_1035, &["1a", "a.b"]),
            (path_segment, &[".", "..", "a/b", "a%b", "a\0b", "a\nb"]),
            (qualified, &["", "/a", "A/b", "a/b/c", "a/", "-a"]),
            (label_value, &["-", "a b"]),
            (config_key, &["", "a/b", ".", "..", "..a"]),
            (port_name, &["", "80", "a--b", "-a", "HTTP", "a-name-that-is-long"]),
        ];
        for (check, names) in bad {
            for name in *names {
                assert!(!check(name).is_empty(), "{name:?} must be refused");
            }
        }
    }

    #[test]
    fn faults_are_worded_as_kubernetes_words_them() {
        assert_eq!(
            subdomain("A_b"),
            [
                r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            label("A"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
    }
}
