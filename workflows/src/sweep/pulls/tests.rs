//! Single looks, and a property over many of them.

use proptest::prelude::*;

use super::*;

const SETTLE: TimeDelta = TimeDelta::seconds(60);

fn place(number: u8) -> Place {
    into("f43", number)
}

fn into(base: &str, number: u8) -> Place {
    let head = CommitId::parse(&format!("{number:02x}").repeat(20)).unwrap();
    Place { head, base: RefName::branch(base).unwrap() }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// A repository whose pull requests are looked at again and again.
struct Swept {
    known: BTreeMap<u64, Known<Place>>,
    told: Told,
    listed: BTreeMap<u64, Place>,
    is_whole: bool,
    is_first: bool,
}

impl Swept {
    fn new() -> Self {
        let (known, told, listed) = (BTreeMap::new(), Told::new(), BTreeMap::new());
        Self { known, told, listed, is_whole: true, is_first: true }
    }

    fn is(&mut self, number: u64, head: Option<u8>) {
        match head {
            Some(head) => drop(self.listed.insert(number, place(head))),
            None => drop(self.listed.remove(&number)),
        }
    }

    fn tell(&mut self, number: u64, head: Option<u8>) {
        self.told.entry(number).or_default().push(head.map(place));
    }

    /// What was missed: `new 3`, `moved 3`, `over 3`.
    fn sweep(&mut self, seconds: i64) -> Vec<String> {
        let found = compare(&Look {
            known: &self.known,
            told: &self.told,
            listed: &self.listed,
            is_whole: self.is_whole,
            is_first: self.is_first,
            now: at(seconds),
            settle: SETTLE,
        });
        let head = |(number, was): (&u64, &bool)| {
            format!("{} {number}", if *was { "moved" } else { "new" })
        };
        let heads = found.heads.iter().map(head);
        let words = heads.chain(found.ends.keys().map(|number| format!("over {number}")));
        let words = words.collect();
        self.known = found.known;
        self.is_first = false;
        self.told.clear();
        words
    }
}

const NONE: [&str; 0] = [];

#[test]
fn another_base_branch_is_missed_as_another_head_is() {
    let mut swept = Swept::new();
    swept.is(3, Some(1));
    swept.sweep(0);
    swept.listed.insert(3, into("rawhide", 1));
    assert!(swept.sweep(900).is_empty());
    assert_eq!(swept.sweep(960), ["moved 3"]);
    assert!(swept.sweep(1900).is_empty());
}

#[test]
fn a_place_is_read_as_it_is_written() {
    let one = into("a/b", 7);
    assert_eq!(one.to_string().parse::<Place>().unwrap(), one);
    assert!("07".repeat(20).parse::<Place>().is_err());
}

#[test]
fn the_first_look_finds_only_what_was_told_and_went_on() {
    let mut swept = Swept::new();
    swept.is(1, Some(1));
    swept.is(2, Some(9));
    swept.tell(2, Some(2));
    swept.tell(3, Some(3));
    assert_eq!(swept.sweep(0), NONE);
    assert_eq!(swept.sweep(60), ["moved 2", "over 3"]);
    assert_eq!(swept.sweep(900), NONE);
}

#[test]
fn a_new_pull_request_a_new_head_and_an_end_are_found_once() {
    let mut swept = Swept::new();
    swept.sweep(0);
    swept.is(7, Some(1));
    assert_eq!(swept.sweep(900), NONE, "its delivery may be on the way");
    assert_eq!(swept.sweep(960), ["new 7"]);
    swept.is(7, Some(2));
    assert_eq!(swept.sweep(1800), NONE);
    assert_eq!(swept.sweep(1860), ["moved 7"]);
    swept.is(7, None);
    assert_eq!(swept.sweep(2700), NONE);
    assert_eq!(swept.sweep(2760), ["over 7"]);
    assert_eq!(swept.sweep(3600), NONE);
    assert!(swept.known.is_empty(), "{:?}", swept.known);
}

#[test]
fn deliveries_in_time_leave_nothing_to_make_up() {
    let mut swept = Swept::new();
    swept.sweep(0);
    swept.is(7, Some(3));
    assert_eq!(swept.sweep(900), NONE);
    swept.tell(7, Some(3));
    assert_eq!(swept.sweep(960), NONE);
    swept.is(7, None);
    swept.tell(7, None);
    assert_eq!(swept.sweep(1900), NONE);
}

#[test]
fn of_heads_that_were_told_out_of_order_the_listed_one_is_made_good() {
    let mut swept = Swept::new();
    swept.sweep(0);
    swept.is(7, Some(3));
    swept.tell(7, Some(3));
    swept.tell(7, Some(2));
    assert_eq!(swept.sweep(900), NONE);
    assert_eq!(swept.sweep(960), ["moved 7"]);
    assert_eq!(swept.sweep(1900), NONE);
}

#[test]
fn an_opening_that_overtakes_its_end_is_ended_again() {
    let mut swept = Swept::new();
    swept.sweep(0);
    // It was opened and closed between two looks, and the deliveries came the other way round.
    swept.tell(7, None);
    swept.tell(7, Some(1));
    assert_eq!(swept.sweep(900), NONE);
    assert_eq!(swept.sweep(960), ["over 7"]);
}

#[test]
fn one_that_was_opened_again_untold_is_found() {
    let mut swept = Swept::new();
    swept.is(7, Some(1));
    swept.sweep(0);
    swept.tell(7, None);
    assert_eq!(swept.sweep(900), NONE);
    assert_eq!(swept.sweep(960), ["new 7"]);
}

#[test]
fn of_a_list_that_is_cut_what_is_missing_is_asked_for_and_stays_known() {
    let mut swept = Swept::new();
    swept.is(1, Some(1));
    swept.is(2, Some(2));
    swept.sweep(0);
    swept.is(1, None);
    swept.is(3, Some(3));
    swept.is_whole = false;
    assert_eq!(swept.sweep(900), ["over 1"]);
    assert_eq!(swept.sweep(960), ["new 3", "over 1"]);
    swept.tell(1, None);
    assert_eq!(swept.sweep(1800), NONE);
    assert!(!swept.known.contains_key(&1));
}

#[test]
fn all_that_is_missing_in_cut_lists_is_asked_for_in_turn() {
    let mut swept = Swept::new();
    for number in 0..100 {
        swept.is(number, Some(1));
    }
    swept.sweep(0);
    swept.listed.clear();
    swept.is_whole = false;
    let mut asked = BTreeSet::new();
    for look in 1..200 {
        let few = swept.sweep(900 * look);
        assert_eq!(few.len(), MAX_UNLISTED);
        asked.extend(few);
    }
    assert_eq!(asked.len(), 100);
}

#[test]
fn an_end_stays_known_until_the_forge_has_said_how() {
    let mut swept = Swept::new();
    swept.is(7, Some(1));
    swept.sweep(0);
    swept.is(7, None);
    swept.sweep(900);
    let look = |known: &BTreeMap<u64, Known<Place>>, seconds| {
        compare(&Look {
            known,
            told: &Told::new(),
            listed: &BTreeMap::new(),
            is_whole: true,
            is_first: false,
            now: at(seconds),
            settle: SETTLE,
        })
    };
    let first = look(&swept.known, 960);
    // The forge did not answer: what is to stay known leads to the same question.
    let second = look(&first.ends, 1860);
    assert_eq!(first.ends, second.ends);
    assert_eq!(first.ends[&7].head, Some(place(1)));
}

/// What happens between two looks.
#[derive(Debug, Clone)]
enum Happening {
    Head { is_delivered: bool },
    End { is_delivered: bool },
    Look { seconds: i64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        any::<bool>().prop_map(|is_delivered| Happening::Head { is_delivered }),
        any::<bool>().prop_map(|is_delivered| Happening::End { is_delivered }),
        (1..2000_i64).prop_map(|seconds| Happening::Look { seconds }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_lost_the_last_standing_is_told_in_the_end(
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut swept = Swept::new();
        swept.sweep(0);
        let (mut head, mut now) = (0_u8, 0);
        // What we believe after all that was told or made up.
        let mut believed: Option<u8> = None;
        let mut is: Option<u8> = None;
        let look = |swept: &mut Swept, now: i64, believed: &mut Option<u8>, is: Option<u8>| {
            for word in swept.sweep(now) {
                *believed = if word == "over 7" { None } else { is };
            }
        };
        for happening in happenings {
            match happening {
                Happening::Head { is_delivered } => {
                    head += 1;
                    is = Some(head);
                    swept.is(7, is);
                    if is_delivered {
                        swept.tell(7, is);
                        believed = is;
                    }
                }
                Happening::End { is_delivered } => {
                    let was = is.take();
                    swept.is(7, None);
                    if is_delivered && was.is_some() {
                        swept.tell(7, None);
                        believed = None;
                    }
                }
                Happening::Look { seconds } => {
                    now += seconds;
                    look(&mut swept, now, &mut believed, is);
                }
            }
        }
        for _ in 0..2 {
            now += 60;
            look(&mut swept, now, &mut believed, is);
        }
        prop_assert_eq!(believed, is);
    }
}
