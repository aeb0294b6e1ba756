#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::*;

#[test]
fn a_tree_comes_out_as_serde_would_build_it() {
    let text =
        "a: 1\nb: [true, ~, -2, 1.5, .nan, \"x\\Ly\"]\nc:\n  1: one\n  true: yes\n'': ''\nd: &x {e: f}\ng: *x\nh:\n- \n- |\n  line\n";
    let wanted: Value = serde_yaml::from_str(text).unwrap();
    assert_eq!(parse(text.as_bytes()).unwrap(), wanted);
    assert_eq!(wanted["g"], json!({"e": "f"}));
    assert!(parse(b"a: [").is_err());
}

#[test]
fn the_shortest_ways_to_write_many_values_are_no_bombs() {
    let text = [vec!["-\n"; 5000].concat(), format!("[{}1]", "1,".repeat(5000)), "\"\\L\\P\"".to_owned()];
    for text in text {
        assert!(parse(text.as_bytes()).is_ok(), "{}", &text[..10]);
    }
}

#[test]
fn aliases_of_aliases_are_refused_before_they_are_unfolded() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", "));
    }
    let refused = parse(bomb.as_bytes()).unwrap_err();
    assert!(refused.contains("write it without aliases"), "{refused}");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), ["*a"; 500].join(", "));
    assert!(parse(long.as_bytes()).is_err(), "one long text repeated");
}
