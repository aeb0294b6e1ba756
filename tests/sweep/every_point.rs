//! The sweep: the operator is killed before and after each request with which a backup, a restore of it and the deletion of both change something,
//! at the API server, at the store and between system and store. Started again, it must end as if nothing had happened.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::proxy::{Moment, Proxy, Seen};
use harness::{processes, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::content::Disk;
use crate::end_state::{Before, end_state};
use crate::scene::{LONG, NAMESPACE, Scene, is_over};

/// How many points are tried where `SWEEP_POINTS` says nothing. `SWEEP_POINTS=all` tries every one.
const SAMPLE: usize = 8;

/// How long nothing is written before all is over.
const QUIET: Duration = Duration::from_millis(500);

/// Where a request is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Api,
    Store,
    Transfers,
}

const PLACES: [Place; 3] = [Place::Api, Place::Store, Place::Transfers];

#[derive(Debug, Clone, Copy)]
struct Point {
    place: Place,
    number: usize,
    moment: Moment,
}

fn proxy(scene: &Scene, place: Place) -> &Proxy {
    match place {
        Place::Api => &scene.api,
        Place::Store => &scene.store,
        Place::Transfers => &scene.transfers,
    }
}

/// A Server Edition with a little of everything, that is back quickly.
fn causes() -> Value {
    json!({
        "profile": "Server Edition", "restore": {"outageSeconds": 1}, "logging": {"linesPerMinute": 0},
        "content": {"extensions": 4, "mailboxes": 1, "messagesPerMailbox": 1, "messageKilobytes": 2, "prompts": 1, "promptKilobytes": 2},
    })
}

fn scene() -> Scene {
    Scene::new(&causes(), &[])
}

/// Goes on with the operator after it was killed.
fn keep_running(scene: &mut Scene) {
    if !scene.operator.runs() {
        scene.start_operator_again();
    }
}

fn end(scene: &mut Scene, plural: &str) {
    wait::until_ok(LONG, || {
        keep_running(scene);
        let action = scene.cluster.get(NAMESPACE, plural, "sweep").unwrap_or_default();
        if is_over(&action) { Ok(()) } else { Err(format!("{plural} is not over but: {}", action["status"])) }
    });
}

/// Waits until all is settled and nothing was written for a while. The last writes may be the ones that are stopped.
fn come_to_rest(scene: &mut Scene) {
    let mut last = (Instant::now(), 0);
    wait::until_ok(LONG, || {
        keep_running(scene);
        let now = scene.api.changes().len() + scene.store.changes().len();
        let unsettled = scene.unsettled();
        if last.1 != now || !unsettled.is_empty() {
            last = (Instant::now(), now);
        }
        if last.0.elapsed() > QUIET { Ok(()) } else { Err(format!("{now} writes so far {unsettled}")) }
    });
}

/// One backup, a change on the system, one restore, both deleted; killed at the point, where one is given. Also says whether the point was reached.
fn play(scene: &mut Scene, disk: &Disk, point: Option<Point>) -> (Value, bool) {
    let before = Before::of(disk);
    PLACES.iter().for_each(|place| proxy(scene, *place).forget());
    if let Some(Point { place, number, moment }) = point {
        let operator = scene.operator.id();
        proxy(scene, place).stop_at(number, moment, move || processes::signal(operator, Signal::KILL));
    }
    let elements = json!(["Configuration/IPOffice", "VoicemailConfiguration", "CustomPrompts"]);
    scene.order_backup("sweep", &json!({"elements": elements, "deletionPolicy": "Delete"}));
    end(scene, "backups");
    disk.change();
    scene.order_restore("sweep", &json!({"source": {"backup": "sweep"}}));
    end(scene, "restores");
    come_to_rest(scene);
    let mut state = end_state(scene, disk, &before);
    remove(scene);
    let (keys, uploads) = scene.keys();
    state["afterwards"] = json!({"objects": keys, "uploads": uploads, "lock": scene.system()["status"]["operation"]});
    let reached = point.is_none_or(|point| proxy(scene, point.place).has_stopped());
    (state, reached)
}

/// Deletes both objects, the bytes in the store with them.
fn remove(scene: &mut Scene) {
    for plural in ["restores", "backups"] {
        scene.cluster.delete(NAMESPACE, plural, "sweep");
        wait::until_ok(LONG, || {
            keep_running(scene);
            match scene.cluster.get(NAMESPACE, plural, "sweep") {
                None => Ok(()),
                Some(there) => Err(format!("the {plural} does not go: {} {}", there["metadata"], there["status"])),
            }
        });
    }
    come_to_rest(scene);
}

/// Lets everything pass again.
fn disarm(scene: &mut Scene) {
    PLACES.iter().for_each(|place| proxy(scene, *place).forget());
    keep_running(scene);
}

/// Some of all points, evenly.
fn chosen(all: Vec<Point>) -> Vec<Point> {
    let wanted = std::env::var("SWEEP_POINTS").unwrap_or_default();
    let wanted = match wanted.as_str() {
        "all" => all.len(),
        "" => SAMPLE,
        number => number.parse().expect("SWEEP_POINTS is a number, or all"),
    };
    let total = all.len();
    // From the middle of each stretch, so that neither end is always taken.
    (0..wanted.min(total)).map(|at| all[(2 * at + 1) * total / (2 * wanted.min(total))]).collect()
}

#[derive(Default)]
struct Found {
    runs: usize,
    unreached: usize,
    differences: Vec<String>,
}

/// Tries points until none is left.
fn sweep(scene: &mut Scene, clean: &Value, left: &Mutex<Vec<Point>>, found: &Mutex<Found>) {
    let disk = Disk::of(scene);
    while let Some(point) = { left.lock().unwrap().pop() } {
        let began = Instant::now();
        let (state, reached) = play(scene, &disk, Some(point));
        let request = proxy(scene, point.place).changes().get(point.number - 1).map(short).unwrap_or_default();
        let what = format!("{:?} {:?} {}: {request}", point.moment, point.place, point.number);
        let same = state == *clean;
        let verdict = if same { "same" } else { "OTHER" };
        println!("{verdict:5} {:4.1} s  {what}{}", began.elapsed().as_secs_f64(), if reached { "" } else { " (not reached)" });
        let mut found = found.lock().unwrap();
        found.runs += 1;
        found.unreached += usize::from(!reached);
        if !same {
            found.differences.push(format!("{what}\n{}", differences(clean, &state)));
        }
        drop(found);
        disarm(scene);
    }
}

/// A request without what is another at every run.
fn short(seen: &Seen) -> String {
    let path = seen.path.split_once(NAMESPACE).map_or(seen.path.as_str(), |(_, path)| path);
    let parts: Vec<&str> = path.rsplit('/').take(3).filter(|part| !part.contains("z-")).collect();
    format!("{} {}", seen.method, parts.into_iter().rev().collect::<Vec<_>>().join("/"))
}

fn differences(clean: &Value, state: &Value) -> String {
    let fields = clean.as_object().unwrap();
    let differing = fields.iter().filter(|(name, value)| state[name.as_str()] != **value);
    differing.map(|(name, value)| format!("  {name}: {value}\n    became {}\n", state[name.as_str()])).collect()
}

fn points(scene: &Scene) -> Vec<Point> {
    let of = |place| {
        let count = proxy(scene, place).changes().len();
        (1..=count).flat_map(move |number| [Moment::Before, Moment::After].map(|moment| Point { place, number, moment }))
    };
    PLACES.into_iter().flat_map(of).collect()
}

#[test]
fn killed_before_or_after_any_of_its_requests_the_operator_ends_as_if_nothing_had_happened() {
    let mut first = scene();
    let disk = Disk::of(&first);
    let (clean, _) = play(&mut first, &disk, None);
    assert_eq!(clean["backup"]["phase"], "Completed", "{clean:#}");
    assert_eq!(clean["restore"]["phase"], "Completed", "{clean:#}");
    assert_eq!(clean["content is as it was backed up"], true, "{clean:#}");
    assert_eq!((&clean["starts"], &clean["restore is this one"]), (&json!(1), &json!(true)), "{clean:#}");
    assert_eq!(clean["uploads"], json!([]), "{clean:#}");
    assert_eq!(clean["afterwards"], json!({"objects": [], "uploads": [], "lock": null}), "{clean:#}");
    disarm(&mut first);
    let (again, _) = play(&mut first, &disk, None);
    assert_eq!(again, clean, "two runs without harm end the same");
    let all = points(&first);
    let (swept, counts) = (all.len() / 2, PLACES.map(|place| proxy(&first, place).changes().len()));
    disarm(&mut first);

    let chosen = chosen(all);
    let several = chosen.len() > 2 * SAMPLE;
    let (left, found) = (Arc::new(Mutex::new(chosen)), Arc::new(Mutex::new(Found::default())));
    // Two planes side by side where there is much to do: a run mostly waits.
    let second = several.then(|| {
        let (clean, left, found) = (clean.clone(), Arc::clone(&left), Arc::clone(&found));
        std::thread::spawn(move || sweep(&mut scene(), &clean, &left, &found))
    });
    sweep(&mut first, &clean, &left, &found);
    if let Some(second) = second {
        second.join().unwrap();
    }
    let found = found.lock().unwrap();
    let [api, store, transfers] = counts;
    println!("requests of a clean run: {api} to the API server, {store} to the store, {transfers} between system and store");
    println!("points not reached, because that run needed fewer requests: {}", found.unreached);
    println!("requests swept: {swept}, runs: {}, differences: {}", found.runs, found.differences.len());
    assert!(found.differences.is_empty(), "{}", found.differences.join("\n"));
}
