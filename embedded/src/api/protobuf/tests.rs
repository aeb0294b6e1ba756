#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// A field of length-delimited content.
fn part(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    out.extend_from_slice(content);
    out
}

fn body(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [part(1, version.as_bytes()), part(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), part(1, &meta), part(2, raw), part(3, b""), part(4, b"")].concat()
}

#[test]
fn a_secret_comes_out_as_from_json() {
    // As client-go writes it: everything that is no pointer is there, set or not.
    let metadata =
        [part(1, b"s1"), part(2, b""), part(3, b"n1"), part(4, b""), part(5, b""), part(6, b""), vec![7 << 3, 0], part(8, b"")].concat();
    let raw = [part(1, &metadata), part(2, &[part(1, b"a"), part(2, b"b")].concat()), part(3, b"Opaque"), vec![5 << 3, 0]].concat();
    let decoded = decode(&body("v1", "Secret", &raw)).unwrap();
    let wanted = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s1", "namespace": "n1"}, "data": {"a": "Yg=="}, "type": "Opaque", "immutable": false});
    assert_eq!(decoded, wanted);
}

#[test]
fn numbers_times_quantities_and_inlined_messages_are_read() {
    let port = [part(1, b"http"), vec![3 << 3, 80], part(4, &[vec![1 << 3, 1], part(3, b"web")].concat())].concat();
    let service = [part(1, &part(1, b"s")), part(2, &[part(1, &port), part(3, b"10.0.0.1")].concat())].concat();
    let decoded = decode(&body("v1", "Service", &service)).unwrap();
    assert_eq!(decoded["spec"]["ports"][0], json!({"name": "http", "port": 80, "targetPort": "web"}));

    let time = [vec![1 << 3, 1]].concat();
    let limits = part(1, &[part(1, b"cpu"), part(2, &part(1, b"500m"))].concat());
    let probe = part(1, &part(2, &[part(1, b"/healthz"), part(2, &[vec![1 << 3, 0], vec![2 << 3, 80]].concat())].concat()));
    let container = [part(1, b"c"), part(8, &limits), part(10, &probe)].concat();
    let pod = [part(1, &part(8, &time)), part(2, &part(2, &container))].concat();
    let decoded = decode(&body("v1", "Pod", &pod)).unwrap();
    assert_eq!(decoded["metadata"]["creationTimestamp"], "1970-01-01T00:00:01Z");
    let container = &decoded["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["cpu"], "500m");
    assert_eq!(container["livenessProbe"]["httpGet"], json!({"path": "/healthz", "port": 80}));
}

#[test]
fn groups_with_long_names_are_found() {
    let raw = part(2, &[part(1, b"get"), part(3, b"pods")].concat());
    let decoded = decode(&body("rbac.authorization.k8s.io/v1", "Role", &raw)).unwrap();
    assert_eq!(decoded["rules"], json!([{"verbs": ["get"], "resources": ["pods"]}]));
    let raw = part(2, &part(5, &[part(1, b"scopes"), part(2, &part(1, b"x"))].concat()));
    let decoded = decode(&body("authorization.k8s.io/v1", "SubjectAccessReview", &raw)).unwrap();
    assert_eq!(decoded["spec"]["extra"], json!({"scopes": ["x"]}));
}

#[test]
fn what_cannot_be_read_says_what_to_do() {
    let unknown = decode(&body("example.org/v1", "Lamp", b"")).unwrap_err();
    assert_eq!(unknown.code, 415);
    assert!(unknown.message.contains("kubectl create -f"), "{}", unknown.message);
    assert_eq!(decode(b"{}").unwrap_err().code, 400);
}

#[test]
fn damaged_bodies_are_refused_wherever_they_end() {
    let metadata = [part(1, b"name"), part(11, &[part(1, b"k"), part(2, b"v")].concat())].concat();
    let whole = body("v1", "ConfigMap", &[part(1, &metadata), part(2, &[part(1, b"a"), part(2, b"b")].concat())].concat());
    let mut readable = 0;
    for end in 0..whole.len() {
        // Some ends fall between fields and leave a shorter message; none may do worse than an error.
        readable += usize::from(decode(&whole[..end]).is_ok());
        let mut flipped = whole.clone();
        flipped[end] ^= 0x55;
        let _ = decode(&flipped);
    }
    assert!(readable < 8, "{readable} of {} pieces were taken for whole", whole.len());
    let mut deep = Vec::new();
    for _ in 0..40 {
        deep = part(1, &deep);
    }
    let _ = decode(&body("v1", "ConfigMap", &deep));
}

#[test]
fn every_message_of_the_table_is_well_formed_and_complete() {
    let text = include_str!("messages.txt");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let message = table::message(name).unwrap();
        for word in words {
            let number = word.split(':').next().unwrap().parse().unwrap();
            let field = message.field(number).unwrap_or_else(|| unreachable!("{name} {word}"));
            if let Kind::Message(inner) = field.kind {
                assert!(table::message(inner).is_some(), "{name}.{} is a {inner}, which the table lacks", field.name);
            }
        }
    }
}
