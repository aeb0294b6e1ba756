//! What an idle session costs. Both ends live in this process, so the bound is for both together.

use protocol::link::SessionState;

use crate::client::Session;
use crate::world::{World, entry, key};

const SESSIONS: usize = 300;

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn both_ends_of_an_idle_session_take_less_than_80_kilobytes() {
    let world = World::new().await;
    let mut credentials = Vec::new();
    for number in 0..SESSIONS {
        let name = format!("s{number}");
        world.directory.systems.lock().unwrap().insert(key(&name), entry());
        credentials.push(world.enrolled(&name).await);
    }
    let before = resident_bytes();
    let mut sessions = Vec::new();
    for credential in &credentials {
        sessions.push(Session::open(&world, credential, 1).await);
    }
    for credential in &credentials {
        world.view_becomes(&credential.system, |view| matches!(view.state, SessionState::Connected { .. })).await;
    }
    let each = (resident_bytes() - before) / sessions.len();
    assert!(each < 80 * 1024, "both ends of a session take {each} bytes");
    eprintln!("both ends of a session take {each} bytes");
}
