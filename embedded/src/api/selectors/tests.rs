#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
    LabelSelector::parse(selector).unwrap().matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, value)| *value))
}

fn refused(selector: &str) -> String {
    LabelSelector::parse(selector).unwrap_err().message
}

#[test]
fn requirements_choose_by_labels() {
    let labels = [("app", "web"), ("tier", "5")];
    for selector in [
        "app=web",
        "app==web",
        "app in (db, web)",
        "app!=db",
        "app",
        "!other",
        "other!=x",
        "other notin (a)",
        "tier>4,tier<6",
        "",
        "app=web,tier=5",
    ] {
        assert!(matches(selector, &labels), "{selector}");
    }
    for selector in ["app=db", "app notin (web)", "!app", "other", "other in (a)", "tier>5", "app=web,tier=6", "app="] {
        assert!(!matches(selector, &labels), "{selector}");
    }
}

#[test]
fn keys_may_have_a_prefix() {
    assert!(matches("kubernetes.io/metadata.name=a", &[("kubernetes.io/metadata.name", "a")]));
}

#[test]
fn malformed_selectors_say_what_was_expected() {
    assert_eq!(refused("z in"), "unable to parse requirement: found '' expected: '('");
    assert_eq!(refused("=x"), "unable to parse requirement: found '=', expected: identifier");
    assert_eq!(refused("a in (x"), "unable to parse requirement: found '', expected: ',' or ')'");
    assert!(refused("a=-x").contains("a valid label must be"));
    assert!(refused("-a=x").contains("name part must consist of"));
}

#[test]
fn field_values_may_hold_escaped_signs() {
    assert_eq!(split(r"a=b\,c,d=e"), [r"a=b\,c", "d=e"]);
    assert_eq!(unescape(r"b\,c\=\\"), r"b,c=\");
}
