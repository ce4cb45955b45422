//! What the watches hold, and snapshots of it. Snapshots share the objects: one of a large cluster costs pointers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::SignedDuration;

use super::Kind;
use crate::adapters::project::Object;
use crate::case::{Gap, ObjectRef, Snapshot, Timestamp};

/// As long as API servers keep events by default.
const EVENTS_FOR: SignedDuration = SignedDuration::from_hours(1);
/// More than any rule reads; the newest are kept.
const EVENTS_EACH: usize = 32;
/// After an outage the kinds come back one by one, and each brings what it missed in a moment: a ConfigMap that is not seen
/// yet must not look as if it were missing beside the Deployment that is. So nothing is shown while one is away, and for
/// this long after.
const CATCHES_UP: SignedDuration = SignedDuration::from_secs(1);

/// Namespace and name.
pub(super) type Key = (Box<str>, Box<str>);

/// An object, or why it cannot be read.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Object(Object),
    Broken(Gap),
}

/// One kind, in one namespace or in all.
#[derive(Debug)]
struct Shelf {
    kind: &'static Kind,
    objects: BTreeMap<Key, Held>,
    state: State,
    /// Why the watch is broken, if it is.
    broken: Option<String>,
    /// When it last answered again after it was broken.
    back: Option<Timestamp>,
    /// When the server last said something about it.
    heard: Option<Timestamp>,
    /// How often the watch had to begin again before its time.
    restarts: u64,
}

/// How the watch of one kind is, in one namespace or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    pub kind: &'static Kind,
    /// When the server last said something about it, by our clock.
    pub heard: Option<Timestamp>,
    /// How often it had to begin again before its time.
    pub restarts: u64,
    /// Objects that are held.
    pub objects: usize,
    /// Whether the account may not read it.
    pub is_refused: bool,
}

#[derive(Debug)]
enum State {
    /// Not answered yet.
    Unknown,
    Listed,
    /// The server has no such kind.
    Unserved,
    Refused(Vec<Gap>),
}

/// Everything that is watched. Bounded by what the cluster has.
#[derive(Debug, Default)]
pub(super) struct Store {
    shelves: Vec<Shelf>,
    /// The API server's clock less ours.
    ahead: Option<SignedDuration>,
}

impl Store {
    /// A place for one kind; the number names it.
    pub(super) fn shelf(&mut self, kind: &'static Kind) -> usize {
        let (objects, state) = (BTreeMap::new(), State::Unknown);
        self.shelves.push(Shelf { kind, objects, state, broken: None, back: None, heard: None, restarts: 0 });
        self.shelves.len() - 1
    }

    /// A whole list: what is not in it is gone.
    pub(super) fn replace(&mut self, place: usize, objects: BTreeMap<Key, Held>, now: Timestamp) {
        self.becomes(place, objects, State::Listed, now);
    }

    pub(super) fn unserved(&mut self, place: usize, now: Timestamp) {
        self.becomes(place, BTreeMap::new(), State::Unserved, now);
    }

    fn becomes(&mut self, place: usize, objects: BTreeMap<Key, Held>, state: State, now: Timestamp) {
        let on = &mut self.shelves[place];
        (on.objects, on.state) = (objects, state);
        self.answers(place, now);
    }

    /// What may not be read any more is not shown any more.
    pub(super) fn refused(&mut self, place: usize, gaps: Vec<Gap>, now: Timestamp) {
        self.becomes(place, BTreeMap::new(), State::Refused(gaps), now);
    }

    pub(super) fn put(&mut self, place: usize, key: Key, held: Held) {
        self.shelves[place].objects.insert(key, held);
    }

    pub(super) fn remove(&mut self, place: usize, key: &Key) {
        self.shelves[place].objects.remove(key);
    }

    /// The server does not answer for this kind: nobody knows how it is now.
    pub(super) fn broken(&mut self, place: usize, why: String) {
        self.shelves[place].broken = Some(why);
    }

    pub(super) fn answers(&mut self, place: usize, now: Timestamp) {
        let on = &mut self.shelves[place];
        if on.broken.take().is_some() {
            on.back = Some(now);
        }
    }

    /// The server said something, if only that nothing happened.
    pub(super) fn heard(&mut self, place: usize, now: Timestamp) {
        self.shelves[place].heard = Some(now);
    }

    /// The watch begins again before its time.
    pub(super) fn restarted(&mut self, place: usize) {
        self.shelves[place].restarts += 1;
    }

    /// How each watch is.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let of = |shelf: &Shelf| {
            let (heard, restarts, objects) = (shelf.heard, shelf.restarts, shelf.objects.len());
            let is_refused = matches!(shelf.state, State::Refused(_));
            Watched { kind: shelf.kind, heard, restarts, objects, is_refused }
        };
        self.shelves.iter().map(of).collect()
    }

    /// The server said what time it is. It tells whole seconds, so the highest difference is the best.
    pub(super) fn clock(&mut self, server: Option<Timestamp>, now: Timestamp) {
        let Some(ahead) = server.map(|server| server.duration_since(now)) else { return };
        let was_set = self.ahead.is_some_and(|old| (ahead - old).abs() > SignedDuration::from_secs(2));
        self.ahead = if was_set { Some(ahead) } else { self.ahead.max(Some(ahead)) };
    }

    /// Why there is no snapshot: the kinds that are not answered, or only again since a moment.
    pub(super) fn missing(&self, now: Timestamp) -> Vec<String> {
        let of = |shelf: &Shelf| {
            let catches_up = shelf.back.is_some_and(|back| now.duration_since(back).abs() < CATCHES_UP);
            let why = match &shelf.broken {
                Some(why) => why,
                None if matches!(shelf.state, State::Unknown) => "not answered yet",
                None if catches_up => "just answered again",
                None => return None,
            };
            Some(format!("{}: {why}", shelf.kind.resource))
        };
        self.shelves.iter().filter_map(of).collect()
    }

    /// Whether anything at all may be read.
    pub(super) fn is_readable(&self) -> bool {
        self.shelves.iter().any(|shelf| matches!(shelf.state, State::Listed))
    }

    /// What the cluster shows now, as a list of everything would.
    pub(super) fn snapshot(&mut self, now: Timestamp) -> Snapshot {
        let taken = self.ahead.and_then(|ahead| now.checked_add(ahead).ok()).unwrap_or(now);
        self.prune(taken);
        let mut snapshot = Snapshot::default();
        snapshot.taken = taken;
        for shelf in &self.shelves {
            if matches!(shelf.state, State::Listed) {
                snapshot.kinds.insert(shelf.kind.kind.to_owned());
            }
            for held in shelf.objects.values() {
                match held {
                    Held::Object(object) => object.clone().join(&mut snapshot),
                    Held::Broken(gap) => snapshot.gaps.push(gap.clone()),
                }
            }
        }
        for shelf in &self.shelves {
            if let State::Refused(gaps) = &shelf.state {
                snapshot.kinds.remove(shelf.kind.kind);
                snapshot.gaps.extend(gaps.iter().cloned());
            }
        }
        snapshot.indexed()
    }

    /// Lets old events go, and of an object that has very many the oldest.
    fn prune(&mut self, now: Timestamp) {
        for shelf in self.shelves.iter_mut().filter(|shelf| shelf.kind.kind == "Event") {
            let mut of: HashMap<ObjectRef, Vec<(Option<Timestamp>, Key)>> = HashMap::new();
            shelf.objects.retain(|key, held| {
                let Held::Object(Object::Event(event)) = held else { return true };
                let is_old = event.last.is_some_and(|last| now.duration_since(last) > EVENTS_FOR);
                if !is_old {
                    of.entry(event.about.clone()).or_default().push((event.last, key.clone()));
                }
                !is_old
            });
            for mut events in of.into_values().filter(|events| events.len() > EVENTS_EACH) {
                events.sort();
                let surplus = events.len() - EVENTS_EACH;
                for (_, key) in &events[..surplus] {
                    shelf.objects.remove(key);
                }
            }
        }
    }
}

/// Reads one object of a kind.
pub(super) fn held(kind: &Kind, api_version: &str, name: &str, text: &str) -> Held {
    match Object::read(api_version, kind.kind, text) {
        Ok(object) => Held::Object(object),
        Err(error) => Held::Broken(Gap {
            what: kind.resource.to_owned(),
            why: format!("{} {name:?} cannot be read and was skipped: {error}", kind.kind),
        }),
    }
}

/// Shared snapshots are what the loop passes on.
pub(super) fn shared(store: &mut Store, now: Timestamp) -> Option<Arc<Snapshot>> {
    (store.is_readable() && store.missing(now).is_empty()).then(|| Arc::new(store.snapshot(now)))
}

#[cfg(test)]
mod tests {
    use super::super::KINDS;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(1_800_000_000 + seconds, 0).unwrap()
    }

    fn kind(name: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.kind == name).unwrap()
    }

    fn key(name: &str) -> Key {
        ("shop".into(), name.into())
    }

    fn pod(name: &str) -> Held {
        let text = format!(r#"{{"metadata":{{"namespace":"shop","name":"{name}"}}}}"#);
        held(kind("Pod"), "v1", name, &text)
    }

    fn event(name: &str, last: i64) -> Held {
        let text = format!(
            r#"{{"metadata":{{"namespace":"shop","name":"{name}"}},"involvedObject":{{"kind":"Pod","namespace":"shop","name":"a"}},"reason":"{name}","lastTimestamp":"{}"}}"#,
            at(last)
        );
        held(kind("Event"), "v1", name, &text)
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.pods.iter().map(|pod| pod.metadata.name.as_str()).collect()
    }

    #[test]
    fn there_is_no_snapshot_until_every_kind_was_answered() {
        let mut store = Store::default();
        let (pods, nodes, jobs) = (store.shelf(kind("Pod")), store.shelf(kind("Node")), store.shelf(kind("Job")));
        store.replace(pods, BTreeMap::from([(key("a"), pod("a")), (key("b"), pod("b"))]), at(0));
        store.unserved(jobs, at(0));
        assert!(shared(&mut store, at(0)).is_none());
        assert_eq!(store.missing(at(0)), ["nodes: not answered yet"]);
        let gap = Gap { what: "nodes".to_owned(), why: "cannot be listed".to_owned() };
        store.refused(nodes, vec![gap.clone()], at(0));
        store.put(pods, key("c"), pod("c"));
        store.remove(pods, &key("a"));
        let snapshot = shared(&mut store, at(0)).unwrap();
        assert_eq!(names(&snapshot), ["b", "c"]);
        assert_eq!(snapshot.gaps, [gap]);
        assert!(snapshot.kinds.contains("Pod") && !snapshot.kinds.contains("Node") && !snapshot.kinds.contains("Job"));
        store.replace(pods, BTreeMap::new(), at(0));
        assert!(shared(&mut store, at(0)).unwrap().pods.is_empty(), "what a list lacks is gone");
        assert_eq!(names(&snapshot), ["b", "c"], "a snapshot stays what it was");
    }

    #[test]
    fn nothing_is_shown_while_one_kind_is_away_or_catches_up() {
        let mut store = Store::default();
        let (pods, nodes) = (store.shelf(kind("Pod")), store.shelf(kind("Node")));
        store.replace(nodes, BTreeMap::new(), at(0));
        store.replace(pods, BTreeMap::new(), at(0));
        assert!(shared(&mut store, at(0)).is_some());
        store.broken(pods, "cut".to_owned());
        assert!(shared(&mut store, at(1)).is_none());
        assert_eq!(store.missing(at(6)), ["pods: cut"]);
        store.answers(pods, at(6));
        assert_eq!(store.missing(at(6)), ["pods: just answered again"]);
        assert!(shared(&mut store, at(6)).is_none());
        assert!(shared(&mut store, at(7)).is_some());
        store.answers(pods, at(8));
        assert!(shared(&mut store, at(8)).is_some(), "a watch that ended in time has missed nothing");
    }

    #[test]
    fn each_watch_tells_how_it_is() {
        let mut store = Store::default();
        let (pods, nodes) = (store.shelf(kind("Pod")), store.shelf(kind("Node")));
        store.put(pods, key("a"), pod("a"));
        store.heard(pods, at(7));
        store.restarted(pods);
        store.restarted(pods);
        let watched = store.watched();
        assert_eq!((watched[pods].heard, watched[pods].restarts, watched[pods].objects), (Some(at(7)), 2, 1));
        assert_eq!((watched[nodes].kind.kind, watched[nodes].heard), ("Node", None));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_named_until_it_can() {
        let mut store = Store::default();
        let pods = store.shelf(kind("Pod"));
        store.replace(pods, BTreeMap::from([(key("a"), held(kind("Pod"), "v1", "a", r#"{"spec":7}"#))]), at(0));
        assert!(store.snapshot(at(0)).gaps[0].why.contains("\"a\""));
        store.put(pods, key("a"), pod("a"));
        assert!(store.snapshot(at(0)).gaps.is_empty());
    }

    #[test]
    fn events_are_kept_for_an_hour_and_few_of_one_object() {
        let mut store = Store::default();
        let events = store.shelf(kind("Event"));
        store.replace(events, BTreeMap::new(), at(0));
        store.put(events, key("old"), event("old", -3601));
        for n in 0..100 {
            let name = format!("e{n:03}");
            store.put(events, key(&name), event(&name, n));
        }
        let snapshot = store.snapshot(at(100));
        assert_eq!(snapshot.events.len(), EVENTS_EACH);
        assert_eq!((snapshot.events[0].reason.as_str(), store.shelves[0].objects.len()), ("e068", EVENTS_EACH));
        assert!(store.snapshot(at(3800)).events.is_empty());
    }

    #[test]
    fn a_snapshot_is_taken_by_the_clock_of_the_server() {
        let mut store = Store::default();
        assert_eq!(store.snapshot(at(5)).taken, at(5), "a server that does not say");
        store.clock(Some(at(1000)), at(0));
        assert_eq!(store.snapshot(at(5)).taken, at(1005));
        store.clock(Some(at(1000)), at(1));
        assert_eq!(store.snapshot(at(5)).taken, at(1005), "seconds are cut off, so the highest is the best");
        store.clock(Some(at(100)), at(1));
        assert_eq!(store.snapshot(at(1)).taken, at(100), "its clock was set");
    }
}
