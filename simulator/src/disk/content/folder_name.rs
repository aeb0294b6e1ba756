//! Names of servers, mailboxes and operations as names of folders: any character becomes a plain one, and no two names become one.

use archive::digest::Sha256;

/// Longest name of a folder made here, in bytes; file systems take 255.
const LONGEST: usize = 200;

/// The name of the folder for `name`: letters, digits, `-`, `_`, blanks and dots stay, all else becomes `%` and two hexadecimal digits. What gets
/// too long ends in `~` and a digest.
pub fn of(name: &str) -> String {
    let mut folder = String::new();
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || (at > 0 && (byte == b'.' || byte == b' '));
        if plain {
            folder.push(char::from(byte));
        } else {
            folder.push_str(&format!("%{byte:02X}"));
        }
    }
    if folder.len() <= LONGEST {
        return folder;
    }
    let digest = Sha256::of(name.as_bytes()).to_string();
    folder.truncate(LONGEST - 33);
    format!("{folder}~{}", &digest[..32])
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn names_stay_readable_and_lead_nowhere_else() {
        for (name, folder) in [
            ("HQ", "HQ"),
            ("Application server 1", "Application server 1"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("a/../b", "a%2F..%2Fb"),
            ("50%", "50%25"),
            ("Zürich", "Z%C3%BCrich"),
        ] {
            assert_eq!(of(name), folder);
        }
    }

    #[test]
    fn long_names_fit_and_stay_apart() {
        let (one, other) = (format!("{}a", "ü".repeat(100)), format!("{}b", "ü".repeat(100)));
        assert!(of(&one).len() <= 200 && of(&one) != of(&other), "{}", of(&one));
    }
}
