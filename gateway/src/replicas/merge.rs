//! Several views of one system to one. Pure.
//!
//! The newest session counts: its counter decides, under the enrolment that is valid now. A session that has just begun somewhere has no state until its
//! sign-in is decided; until then the state from before stands, wherever it was seen, just as it does in a replica that is alone.

use jiff::Timestamp;
use protocol::link::{SessionState, SessionView};
use protocol::replica::Held;

/// Orders views of one system, the one that counts last.
fn rank(held: &Held, enrolment_id: Option<&str>) -> (bool, Option<u64>, bool, bool, Option<Timestamp>) {
    let enrolled = enrolment_id.is_some_and(|id| held.counter.is_some() && held.enrolment_id == id);
    (enrolled, held.counter, !held.moved, held.live, held.since)
}

/// The same system as seen by several replicas, the one that counts first.
pub(super) fn order(mut all: Vec<Held>, enrolment_id: Option<&str>) -> Vec<Held> {
    all.sort_by_key(|held| std::cmp::Reverse(rank(held, enrolment_id)));
    all
}

/// What is known of the session; `None` if the system was not seen.
pub(super) fn view(all: Vec<Held>, enrolment_id: Option<&str>) -> Option<SessionView> {
    let all = order(all, enrolment_id);
    let session = all.first()?.counter?;
    let facts = all.iter().find_map(|held| held.facts.clone())?;
    let (state, since) = all.iter().find_map(|held| held.state.clone().zip(held.since))?;
    Some(SessionView { state, since, session, facts })
}

/// Since when something comes that is not the system, where the system itself was never seen.
pub(super) fn unrecognised_since(all: &[Held]) -> Option<Timestamp> {
    if all.iter().any(|held| held.facts.is_some()) {
        return None;
    }
    all.iter().filter(|held| matches!(held.state, Some(SessionState::Away(_)))).filter_map(|held| held.since).min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use model::account::SignInOutcome;
    use model::connectivity::Absence;
    use protocol::message::Facts;

    use super::*;

    fn facts(name: &str) -> Facts {
        serde_json::from_value(serde_json::json!({
            "systemName": name, "address": "10.0.0.1", "port": 443, "profile": "IP500 V2", "version": "11.1.3.2.0", "timeZone": "UTC", "servers": [],
            "remoteOperations": {}, "voicemailBackup": {}, "certificates": {}, "configurationRevision": 1, "started": "2026-01-01T00:00:00Z"
        }))
        .unwrap()
    }

    fn held(counter: u64, live: bool, state: Option<SessionState>) -> Held {
        Held {
            key: model::ids::SystemKey { customer: "acme".parse().unwrap(), system: "hq".parse().unwrap() },
            enrolment_id: "now".into(),
            counter: Some(counter),
            facts: Some(facts(&format!("session {counter}"))),
            since: state.as_ref().map(|_| Timestamp::from_second(i64::try_from(counter).unwrap()).unwrap()),
            state,
            live,
            moved: false,
            refused: None,
        }
    }

    fn connected() -> Option<SessionState> {
        Some(SessionState::Connected { sign_in: Some(SignInOutcome::Accepted { rights: Vec::new() }) })
    }

    fn away() -> Option<SessionState> {
        Some(SessionState::Away(Absence::Offline))
    }

    fn both_ways(one: Held, two: Held) -> Option<SessionView> {
        let view_one = view(vec![one.clone(), two.clone()], Some("now"));
        assert_eq!(view_one, view(vec![two, one], Some("now")), "the order in which replicas are asked decides nothing");
        view_one
    }

    #[test]
    fn the_newest_session_counts() {
        // Its old connection was cut and is taken for alive still; it dialled another replica and was gone again.
        let seen = both_ways(held(5, true, connected()), held(6, false, away())).unwrap();
        assert_eq!((seen.session, seen.state), (6, away().unwrap()));
        let seen = both_ways(held(5, false, away()), held(6, true, connected())).unwrap();
        assert_eq!((seen.session, seen.state, seen.facts.system_name.as_str()), (6, connected().unwrap(), "session 6"));
    }

    #[test]
    fn a_session_whose_sign_in_is_not_decided_changes_nothing_yet() {
        let mut before = held(5, false, connected());
        let seen = both_ways(before.clone(), held(6, true, None)).unwrap();
        assert_eq!((seen.session, seen.state.clone(), seen.since.as_second()), (6, connected().unwrap(), 5));
        // The other replica has heard of it.
        (before.moved, before.counter) = (true, Some(6));
        assert_eq!(both_ways(before.clone(), held(6, true, None)).unwrap().state, connected().unwrap());
        // And it is gone again before it was decided.
        assert_eq!(both_ways(before, held(6, false, away())).unwrap().state, away().unwrap());
        assert_eq!(view(vec![held(6, true, None)], Some("now")), None);
    }

    #[test]
    fn a_system_that_enrolled_anew_counts_anew() {
        let mut old = held(99, true, connected());
        old.enrolment_id = "before".into();
        assert_eq!(both_ways(old.clone(), held(1, true, away())).unwrap().session, 1);
        // Where nobody knows which enrolment is valid, the counters are all there is.
        assert_eq!(view(vec![old, held(1, true, away())], None).unwrap().session, 99);
    }

    #[test]
    fn a_stranger_hides_no_system_and_is_seen_where_there_is_none() {
        let stranger =
            Held { counter: None, facts: None, enrolment_id: String::new(), since: Some(Timestamp::UNIX_EPOCH), ..held(0, false, away()) };
        let seen = both_ways(stranger.clone(), held(3, true, connected())).unwrap();
        assert_eq!(seen.state, connected().unwrap());
        assert_eq!(unrecognised_since(&[stranger.clone(), held(3, true, connected())]), None);
        assert_eq!(unrecognised_since(std::slice::from_ref(&stranger)), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(view(vec![stranger], Some("now")), None);
    }
}
