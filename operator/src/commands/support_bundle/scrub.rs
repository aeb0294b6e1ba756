//! Takes secrets out of texts and objects: those that are known by their value, and those that look like one.
//!
//! Nothing here is certain of a text that somebody wrote: a password in a log line that no Secret holds, in words that give no hint, stays.
//! Therefore as little free text as possible goes into a bundle, and its manifest says so.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::Value;

/// Stands where something was. Without a blank, so that no pattern finds a part of it.
pub const LEFT_OUT: &str = "(left-out)";
/// Shorter values of Secrets are not looked for: they would be found in every second word.
const SHORTEST: usize = 6;
/// Keys of Secrets whose values are no secrets, and would take words like a customer's id out of everything.
const PUBLIC_KEYS: [&str; 9] = ["accessKeyId", "ca.crt", "customerId", "gateway", "namespace", "systemId", "tls.crt", "user", "username"];
/// Ends of the names of fields and arguments that hold a secret themselves, in lower case.
const SECRET_NAMES: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "privatekey",
    "private-key",
    "secretaccesskey",
    "secret-access-key",
    "enrolmentcode",
    "credentials",
    "apikey",
];
/// What looks like a secret: what stays of it, as groups before and after.
const PATTERNS: [&str; 8] = [
    r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\z)",
    r#"(?i)(\bbearer\s+|\bauthorization["']?\s*[:=]\s*["']?(?:basic|token)\s+)[A-Za-z0-9+/=._~-]{6,}()"#,
    r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@\x22']+(@)",
    r"(?i)([?&](?:x-amz-[a-z-]*(?:signature|credential|token)|signature|sig|token|password|secret|code|key)=)[^&\s\x22']+()",
    r"()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*()",
    r"()\b[A-Z2-9]{5}(?:-[A-Z2-9]{5}){4}\b()",
    r#"(?i)(["']?\b[a-z_.-]*(?:password|passwd|passphrase|secret_?-?access_?-?key|private_?-?key|enrolment_?-?code|api_?-?key)["']?\s*[:=]\s*["']?)[^\s"',;}]+()"#,
    r"(?i)((?:set-)?cookie:\s*)[^\r\n]+()",
];

/// What was taken out, for the manifest.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Places in texts.
    pub texts: usize,
    /// Fields of objects.
    pub fields: usize,
}

/// Knows what is to be taken out, and counts it.
pub struct Scrubber {
    /// Values of Secrets.
    learnt: BTreeSet<String>,
    /// The same, the longest first; empty where more was learnt since they were ordered.
    values: Vec<String>,
    /// How many values were too short to be looked for.
    pub short_values: usize,
    patterns: Vec<Regex>,
    /// What was taken out so far.
    pub count: Count,
}

impl Scrubber {
    /// One that knows no Secret yet.
    ///
    /// # Errors
    /// A pattern of the program is wrong: a fault of the program.
    pub fn new() -> Result<Self, regex::Error> {
        let patterns = PATTERNS.iter().map(|pattern| Regex::new(pattern)).collect::<Result<_, _>>()?;
        Ok(Self { learnt: BTreeSet::new(), values: Vec::new(), short_values: 0, patterns, count: Count::default() })
    }

    /// Learns the values of a Secret's data, as they are and in base64. Each line of a value counts by itself: logs break lines.
    pub fn learn<'a>(&mut self, data: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        for (key, value) in data {
            if PUBLIC_KEYS.contains(&key) {
                continue;
            }
            let text = String::from_utf8_lossy(value);
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("-----"));
            let mut parts: Vec<String> = lines.map(str::to_owned).collect();
            parts.push(STANDARD.encode(value));
            parts.push(STANDARD.encode(text.trim()));
            let before = parts.len();
            parts.retain(|part| part.len() >= SHORTEST);
            self.short_values += before - parts.len();
            self.learnt.extend(parts);
        }
        self.values.clear();
    }

    /// Once, before the first text, and again only where more was learnt since.
    fn order(&mut self) {
        if self.values.is_empty() {
            self.values = self.learnt.iter().cloned().collect();
            // A value that is the beginning of another must not leave the rest of that.
            self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        }
    }

    /// A text without secrets.
    pub fn text(&mut self, text: &str) -> String {
        self.order();
        let mut text = text.to_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                self.count.texts += text.matches(value.as_str()).count();
                text = text.replace(value.as_str(), LEFT_OUT);
            }
        }
        for pattern in &self.patterns {
            let mut taken = 0;
            let replaced = pattern.replace_all(&text, |found: &Captures<'_>| {
                let group = |number: usize| found.get(number).map_or("", |group| group.as_str());
                let without = format!("{}{LEFT_OUT}{}", group(1), group(2));
                // What was taken out already is not counted again.
                if !found[0].contains(LEFT_OUT) {
                    taken += 1;
                    return without;
                }
                if found[0].len() > without.len() { without } else { found[0].to_owned() }
            });
            let replaced = replaced.into_owned();
            self.count.texts += taken;
            text = replaced;
        }
        text
    }

    /// An object without secrets: no managed fields, no last applied configuration, no values of environment variables, no fields that are
    /// secrets by their name, and no secret in any text.
    pub fn object(&mut self, object: &mut Value) {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            for (name, value) in metadata.get_mut("annotations").and_then(Value::as_object_mut).into_iter().flatten() {
                if name.ends_with("last-applied-configuration") {
                    self.leave_out(value);
                }
            }
        }
        self.value(object, "");
    }

    fn value(&mut self, value: &mut Value, name: &str) {
        match value {
            Value::Object(fields) => {
                for (name, inner) in fields {
                    self.value(inner, name);
                }
            }
            Value::Array(items) => {
                for item in items {
                    if name == "env"
                        && let Some(value) = item.get_mut("value")
                    {
                        self.leave_out(value);
                    }
                    self.value(item, name);
                }
            }
            Value::String(text) => {
                if is_secret_name(name) {
                    self.leave_out(value);
                } else {
                    *text = self.text(text);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn leave_out(&mut self, value: &mut Value) {
        if *value != LEFT_OUT {
            *value = Value::from(LEFT_OUT);
            self.count.fields += 1;
        }
    }
}

/// Whether a field or an argument of that name holds a secret itself, and not the name of one.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn scrubbed(text: &str) -> String {
        Scrubber::new().unwrap().text(text)
    }

    #[test]
    fn what_looks_like_a_secret_is_taken_out_and_the_rest_stays() {
        for (text, expected) in [
            ("dial https://ann:pa55word@store.example.com/a?b=c now", "dial https://(left-out)@store.example.com/a?b=c now"),
            ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer (left-out)"),
            ("authorization: basic YW5uOnBhNTV3b3Jk", "authorization: basic (left-out)"),
            ("PUT https://s/b?partNumber=1&X-Amz-Signature=0a1b2c&x=1", "PUT https://s/b?partNumber=1&X-Amz-Signature=(left-out)&x=1"),
            ("code ABCDE-FGHJK-LMNPQ-RSTUV-23456 sent", "code (left-out) sent"),
            ("{\"password\":\"Correct-Horse-7\",\"user\":\"ann\"}", "{\"password\":\"(left-out)\",\"user\":\"ann\"}"),
            ("secretAccessKey: abc/def+ghi", "secretAccessKey: (left-out)"),
            ("a eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.c2ln b", "a (left-out) b"),
            (
                "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----\nrest",
                "-----BEGIN EC PRIVATE KEY-----(left-out)-----END EC PRIVATE KEY-----\nrest",
            ),
            ("-----BEGIN PRIVATE KEY-----\ncut off", "-----BEGIN PRIVATE KEY-----(left-out)"),
        ] {
            assert_eq!(scrubbed(text), expected);
        }
        for text in [
            "session begins customer=acme system=hq peer=127.0.0.1:36174 protocol=1",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "the password in the Secret service-user is not the one of COMAdmin on the system",
            "GET https://store.example.com:9000/bucket?list-type=2",
            "it asks for basic information about the token",
            "backup 20261127t004312z-8ig4z2nevhbv, uid 5c4e184a-77c3-434e-8c75-f3de647b6636",
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }

    #[test]
    fn values_of_secrets_are_found_as_they_are_and_in_base64_and_public_ones_stay() {
        let mut scrubber = Scrubber::new().unwrap();
        let data: [(&str, &[u8]); 5] = [
            ("password", b"tiger lily"),
            ("customerId", b"acme-foods"),
            ("note", b"first line\nsecond line\n"),
            ("pin", b"1234"),
            ("long", b"tiger lily and more"),
        ];
        scrubber.learn(data);
        let text = format!("got tiger lily for acme-foods, {} and second line, 1234, tiger lily and more", STANDARD.encode("tiger lily"));
        assert_eq!(scrubber.text(&text), "got (left-out) for acme-foods, (left-out) and (left-out), 1234, (left-out)");
        assert_eq!(scrubber.count.texts, 4);
        assert!(scrubber.short_values > 0, "what is too short to be looked for is counted");
    }

    #[test]
    fn what_is_learnt_after_a_text_is_looked_for_in_the_next_and_what_was_learnt_before_it_too() {
        let mut scrubber = Scrubber::new().unwrap();
        scrubber.learn([("password", b"tiger lily".as_slice())]);
        assert_eq!(scrubber.text("tiger lily and more"), "(left-out) and more");
        scrubber.learn([("long", b"tiger lily and more".as_slice())]);
        assert_eq!(scrubber.text("tiger lily, tiger lily and more"), "(left-out), (left-out)");
    }

    #[test]
    fn objects_lose_their_secrets_and_keep_the_names_of_secrets() {
        let mut object = json!({
            "metadata": {
                "name": "a", "managedFields": [1],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"all\": 1}", "note": "see https://a:b@c/"}
            },
            "spec": {
                "serviceUser": {"name": "COMAdmin", "passwordSecret": {"name": "service-user", "key": "password"}},
                "passwordsSecret": "service-user", "password": "Correct-Horse-7",
                "containers": [{"env": [
                    {"name": "PLAIN", "value": "Correct-Horse-7"},
                    {"name": "BY_REFERENCE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
                ], "args": ["--url=https://a:b@c/"]}]
            }
        });
        let mut scrubber = Scrubber::new().unwrap();
        scrubber.object(&mut object);
        assert_eq!(
            object,
            json!({
                "metadata": {"name": "a", "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "(left-out)", "note": "see https://(left-out)@c/"
                }},
                "spec": {
                    "serviceUser": {"name": "COMAdmin", "passwordSecret": {"name": "service-user", "key": "password"}},
                    "passwordsSecret": "service-user", "password": "(left-out)",
                    "containers": [{"env": [
                        {"name": "PLAIN", "value": "(left-out)"},
                        {"name": "BY_REFERENCE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
                    ], "args": ["--url=https://(left-out)@c/"]}]
                }
            })
        );
        assert_eq!(scrubber.count, Count { texts: 2, fields: 3 });
    }
}
