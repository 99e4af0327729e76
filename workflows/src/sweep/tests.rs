//! Single looks, and a property over many of them: whatever is lost, late or out of order, each
//! head becomes an event once.

use proptest::prelude::*;

use super::*;

const SETTLE: TimeDelta = TimeDelta::seconds(60);

fn repository() -> RepositoryName {
    RepositoryName::parse("containers/httpd").unwrap()
}

fn branch(name: &str) -> RefName {
    RefName::branch(name).unwrap()
}

fn commit(number: u8) -> CommitId {
    CommitId::parse(&format!("{number:02x}").repeat(20)).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// A repository that is swept again and again.
struct Swept {
    known: BTreeMap<RefName, Known>,
    told: Told,
    heads: BTreeMap<RefName, CommitId>,
    is_first: bool,
    made: Vec<Event>,
}

impl Swept {
    fn new() -> Self {
        let (known, told, heads) = (BTreeMap::new(), Told::new(), BTreeMap::new());
        Self { known, told, heads, is_first: true, made: Vec::new() }
    }

    fn is(&mut self, name: &str, head: Option<u8>) {
        match head {
            Some(head) => drop(self.heads.insert(branch(name), commit(head))),
            None => drop(self.heads.remove(&branch(name))),
        }
    }

    fn tell(&mut self, name: &str, head: Option<u8>) {
        self.told.entry(branch(name)).or_default().push(head.map(commit));
    }

    /// The identities of what is made up.
    fn sweep(&mut self, seconds: i64) -> Vec<String> {
        let look = Look {
            repository: &repository(),
            known: &self.known,
            told: &self.told,
            heads: &self.heads,
            is_first: self.is_first,
            now: at(seconds),
            settle: SETTLE,
        };
        let found = compare(&look);
        self.known = found.known;
        self.is_first = false;
        self.told.clear();
        // An event that is made up is one that was told, as any other.
        for event in &found.events {
            if let Event::Push(push) = event {
                let heads = self.told.entry(push.ref_name.clone()).or_default();
                heads.push(Some(push.after.clone()));
            }
        }
        let words = |event: &Event| event.identity().unwrap_or_else(|| event.kind().to_owned());
        let words = found.events.iter().map(words).collect();
        self.made.extend(found.events);
        words
    }
}

fn push(before: Option<u8>, after: u8) -> String {
    let before = before.map_or("-".to_owned(), |before| commit(before).to_string());
    format!("containers/httpd refs/heads/f43 {before} {}", commit(after))
}

const NONE: [&str; 0] = [];

#[test]
fn the_first_look_finds_nothing_new_but_what_was_told_and_moved_on() {
    let mut swept = Swept::new();
    swept.is("f43", Some(2));
    swept.is("f42", Some(9));
    swept.tell("f43", Some(1));
    assert_eq!(swept.sweep(0), NONE);
    assert_eq!(swept.sweep(60), [push(Some(1), 2)]);
    assert_eq!(swept.sweep(1000), NONE);
}

#[test]
fn a_missed_push_is_made_up_once_with_the_identity_of_its_delivery() {
    let mut swept = Swept::new();
    swept.is("f43", Some(1));
    swept.sweep(0);
    swept.is("f43", Some(2));
    assert_eq!(swept.sweep(900), NONE, "its delivery may be on the way");
    assert_eq!(swept.sweep(930), NONE);
    assert_eq!(swept.sweep(960), [push(Some(1), 2)]);
    swept.tell("f43", Some(2));
    assert_eq!(swept.sweep(1860), NONE, "the delivery was late");
}

#[test]
fn a_delivery_that_comes_in_time_leaves_nothing_to_make_up() {
    let mut swept = Swept::new();
    swept.is("f43", Some(1));
    swept.sweep(0);
    swept.is("f43", Some(2));
    assert_eq!(swept.sweep(900), NONE);
    swept.tell("f43", Some(2));
    assert_eq!(swept.sweep(960), NONE);
}

#[test]
fn a_new_branch_and_a_deletion_are_found() {
    let mut swept = Swept::new();
    swept.is("rawhide", Some(1));
    swept.sweep(0);
    swept.is("f43", Some(1));
    swept.sweep(900);
    assert_eq!(swept.sweep(960), [push(None, 1)]);
    swept.is("f43", None);
    swept.sweep(1900);
    assert_eq!(swept.sweep(1960), ["branch_deleted"]);
    assert_eq!(swept.sweep(2900), NONE);
    assert!(!swept.known.contains_key(&branch("f43")));
}

#[test]
fn a_branch_that_comes_and_goes_untold_leaves_nothing() {
    let mut swept = Swept::new();
    swept.is("rawhide", Some(1));
    swept.sweep(0);
    swept.is("f43", Some(1));
    swept.sweep(900);
    swept.is("f43", None);
    assert_eq!(swept.sweep(1000), NONE);
    assert!(!swept.known.contains_key(&branch("f43")), "{:?}", swept.known);
}

#[test]
fn a_forced_push_back_that_the_forge_does_not_tell_is_found() {
    let mut swept = Swept::new();
    swept.is("f43", Some(1));
    swept.sweep(0);
    swept.tell("f43", Some(2));
    assert_eq!(swept.sweep(900), NONE);
    assert_eq!(swept.sweep(960), [push(Some(2), 1)]);
}

#[test]
fn a_delivery_that_overtakes_the_list_is_no_gap() {
    let mut swept = Swept::new();
    swept.is("f43", Some(1));
    swept.sweep(0);
    // The list was read before the push, the events after it.
    swept.tell("f43", Some(2));
    swept.sweep(900);
    swept.is("f43", Some(2));
    assert_eq!(swept.sweep(960), NONE);
}

/// A late one that nobody found to be late: the branch is built by it last.
#[test]
fn a_head_that_was_told_before_another_one_is_told_again() {
    let mut swept = Swept::new();
    swept.is("f43", Some(1));
    swept.sweep(0);
    swept.is("f43", Some(3));
    swept.tell("f43", Some(3));
    swept.tell("f43", Some(2));
    assert_eq!(swept.sweep(900), NONE);
    assert_eq!(swept.sweep(960), [push(Some(2), 3)]);
    assert_eq!(swept.sweep(1900), NONE);
}

#[test]
fn a_branch_that_went_back_and_forth_between_two_looks_is_where_it_is() {
    let mut swept = Swept::new();
    swept.is("f43", Some(1));
    swept.sweep(0);
    swept.tell("f43", Some(2));
    swept.tell("f43", Some(1));
    swept.is("f43", Some(2));
    assert_eq!(swept.sweep(900), NONE);
    assert_eq!(swept.sweep(960), [push(Some(1), 2)], "the second time was not told");
}

#[test]
fn looks_are_spread_over_a_quarter_of_the_interval() {
    let interval = TimeDelta::seconds(900);
    for seed in 0..2000 {
        let wait = (next_sweep(at(0), interval, seed) - at(0)).num_seconds();
        assert!((676..=900).contains(&wait), "{seed}: {wait}");
    }
    assert_ne!(next_sweep(at(0), interval, 1), next_sweep(at(0), interval, 2));
}

/// What happens between two looks.
#[derive(Debug, Clone)]
enum Happening {
    Push { is_delivered: bool },
    Look { seconds: i64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        any::<bool>().prop_map(|is_delivered| Happening::Push { is_delivered }),
        (1..2000_i64).prop_map(|seconds| Happening::Look { seconds }),
    ]
}

proptest! {
    #[test]
    fn the_newest_head_is_always_told_in_the_end_and_no_head_twice(
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut swept = Swept::new();
        let (mut head, mut now) = (1_u8, 0);
        let mut delivered = BTreeSet::from([commit(1)]);
        swept.is("f43", Some(1));
        swept.sweep(now);
        for happening in happenings {
            match happening {
                Happening::Push { is_delivered } => {
                    head += 1;
                    swept.is("f43", Some(head));
                    if is_delivered {
                        swept.tell("f43", Some(head));
                        delivered.insert(commit(head));
                    }
                }
                Happening::Look { seconds } => {
                    now += seconds;
                    swept.sweep(now);
                }
            }
        }
        for _ in 0..2 {
            now += 60;
            swept.sweep(now);
        }
        let made: Vec<CommitId> = swept.made.iter().map(|event| match event {
            Event::Push(push) => push.after.clone(),
            other => panic!("{other:?}"),
        }).collect();
        let distinct: BTreeSet<&CommitId> = made.iter().collect();
        prop_assert_eq!(distinct.len(), made.len(), "a head was made up twice");
        prop_assert!(made.iter().all(|head| !delivered.contains(head)), "a told head was made up");
        let last = commit(head);
        prop_assert!(delivered.contains(&last) || made.contains(&last), "the newest is lost");
    }
}
