//! Times against a crontab's rules, across clock changes, and against another implementation.

use chrono::TimeDelta;
use croner::parser::{CronParser, Seconds};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The next `count` times after `from`, on the wall of the zone.
#[track_caller]
fn next(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(cron, zone).unwrap();
    let times = std::iter::successors(schedule.next_after(at(from)), |&now| {
        let next = schedule.next_after(now);
        assert!(next.is_none_or(|next| next > now), "time stands still after {now}");
        next
    });
    times
        .take(count)
        .map(|time| time.with_timezone(&schedule.zone).format("%a %m-%d %H:%M%:::z").to_string())
        .collect()
}

#[test]
fn fields_mean_what_a_crontab_means() {
    let from = "2026-01-01T00:00:00Z"; // a Thursday
    assert_eq!(next("30 4 * * 1", "UTC", from, 2), ["Mon 01-05 04:30+00", "Mon 01-12 04:30+00"]);
    assert_eq!(next("0 0 * * 0", "UTC", from, 1), next("0 0 * * 7", "UTC", from, 1));
    assert_eq!(
        next("0 0 * * sat-SUN", "UTC", from, 2),
        ["Sat 01-03 00:00+00", "Sun 01-04 00:00+00"]
    );
    assert_eq!(next("0 0 * * 5-7", "UTC", from, 2), ["Fri 01-02 00:00+00", "Sat 01-03 00:00+00"]);
    assert_eq!(
        next("5-59/25 3 * feb *", "UTC", from, 2),
        ["Sun 02-01 03:05+00", "Sun 02-01 03:30+00"]
    );
    assert_eq!(next("@daily", "UTC", from, 1), ["Fri 01-02 00:00+00"]);
    assert_eq!(next("0 0 29 2 *", "UTC", from, 1), ["Tue 02-29 00:00+00"]);
}

#[test]
fn either_day_field_suffices_unless_one_begins_with_a_star() {
    let from = "2026-01-01T00:00:00Z";
    assert_eq!(
        next("0 0 13 * FRI", "UTC", from, 3),
        ["Fri 01-02 00:00+00", "Fri 01-09 00:00+00", "Tue 01-13 00:00+00"]
    );
    assert_eq!(
        next("0 0 */2 * MON", "UTC", from, 3),
        ["Mon 01-05 00:00+00", "Mon 01-19 00:00+00", "Mon 02-09 00:00+00"]
    );
    // A day that never comes is no fault when the other field suffices.
    assert_eq!(next("0 0 30 2 MON", "UTC", from, 1), ["Mon 02-02 00:00+00"]);
}

#[test]
fn a_time_left_out_by_the_clock_comes_due_when_it_goes_on() {
    let before = "2026-03-29T00:30:00Z"; // 01:30 in Prague, half an hour before 02:00 becomes 03:00
    assert_eq!(
        next("30 2 * * *", "Europe/Prague", before, 2),
        ["Sun 03-29 03:00+02", "Mon 03-30 02:30+02"]
    );
    assert_eq!(
        next("*/30 * * * *", "Europe/Prague", before, 3),
        ["Sun 03-29 03:00+02", "Sun 03-29 03:30+02", "Sun 03-29 04:00+02"]
    );
    // Samoa went over the International Date Line and had no 30 December 2011.
    assert_eq!(
        next("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", 1),
        ["Sat 12-31 00:00+14"]
    );
}

#[test]
fn a_time_that_happens_twice_comes_due_once() {
    let before = "2026-10-24T23:50:00Z"; // 01:50 in Prague, before 03:00 becomes 02:00 again
    assert_eq!(
        next("30 2 * * *", "Europe/Prague", before, 2),
        ["Sun 10-25 02:30+02", "Mon 10-26 02:30+01"]
    );
    assert_eq!(
        next("*/30 * * * *", "Europe/Prague", before, 3),
        ["Sun 10-25 02:00+02", "Sun 10-25 02:30+02", "Sun 10-25 03:00+01"]
    );
    // Asked in the second pass, minutes that came due in the first are over.
    assert_eq!(
        next("* * * * *", "Europe/Prague", "2026-10-25T01:10:00Z", 1),
        ["Sun 10-25 03:00+01"]
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_field() {
    let error = |cron: &str| Schedule::parse(cron, "UTC").unwrap_err().to_string();
    for cron in ["", "* * * *", "* * * * * *", "@reboot", "0 0 0 * * *"] {
        assert!(error(cron).contains("must have five fields"), "{cron}");
    }
    for (cron, why) in [
        ("60 * * * *", "minute of schedule `60 * * * *`: `60` is not from 0 to 59"),
        ("* * 0 * *", "day of month of schedule `* * 0 * *`: `0` is not from 1 to 31"),
        (
            "* * * FOO *",
            "month of schedule `* * * FOO *`: `FOO` is not from 1 to 12 or from JAN to DEC",
        ),
        (
            "* * * * 8",
            "day of week of schedule `* * * * 8`: `8` is not from 0 to 7 or from SUN to SAT",
        ),
        ("* 5-1 * * *", "hour of schedule `* 5-1 * * *`: `5-1` goes backwards"),
        (
            "5/15 * * * *",
            "minute of schedule `5/15 * * * *`: a step needs a range: write 5-59/… instead of `5/15`",
        ),
        ("*/0 * * * *", "minute of schedule `*/0 * * * *`: `*/0` has no step that fits"),
        ("1,,2 * * * *", "minute of schedule `1,,2 * * * *`: `` is not from 0 to 59"),
        ("-1 * * * *", "minute of schedule `-1 * * * *`: `` is not from 0 to 59"),
        ("+1 * * * *", "minute of schedule `+1 * * * *`: `+1` is not from 0 to 59"),
    ] {
        assert_eq!(error(cron), why);
    }
    for cron in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 FEB-FEB *"] {
        assert!(error(cron).contains("never comes due"), "{cron}");
    }
    assert!(Schedule::parse("* * * * *", "Nowhere/City").unwrap_err().is_about_timezone());
    assert!(Schedule::parse(&format!("{}0 * * * *", "0,".repeat(200)), "UTC").is_err());
}

fn item(first: u32, last: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        (first..=last).prop_map(|value| value.to_string()),
        (first..=last, first..=last, 1..7_u32).prop_map(|(a, b, step)| format!(
            "{}-{}/{step}",
            a.min(b),
            a.max(b)
        )),
    ]
}

fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => (1..9_u32).prop_map(|step| format!("*/{step}")),
        3 => proptest::collection::vec(item(first, last), 1..4).prop_map(|list| list.join(",")),
    ]
}

/// Day fields as other implementations understand them too: they take `*/2` for a restriction.
fn days() -> impl Strategy<Value = (String, String)> {
    let list = |first, last| {
        proptest::collection::vec(item(first, last), 1..3).prop_map(|list| list.join(","))
    };
    prop_oneof![
        (list(1, 28), Just("*".to_owned())),
        (Just("*".to_owned()), list(0, 6)),
        (list(1, 28), list(0, 6)),
    ]
}

proptest! {
    #[test]
    fn agrees_with_another_implementation(
        minute in field(0, 59),
        hour in field(0, 23),
        month in field(1, 12),
        (day, weekday) in days(),
        zone in prop::sample::select(vec!["UTC", "Asia/Kolkata", "America/Bogota"]),
        from in 1_750_000_000_i64..2_000_000_000,
    ) {
        let cron = format!("{minute} {hour} {day} {month} {weekday}");
        let oracle = CronParser::builder().seconds(Seconds::Disallowed).build().parse(&cron).unwrap();
        let ours = Schedule::parse(&cron, zone).unwrap();
        let mut now = DateTime::from_timestamp(from, 0).unwrap();
        for _ in 0..4 {
            let theirs = oracle
                .find_next_occurrence(&now.with_timezone(&ours.zone), false)
                .unwrap()
                .to_utc();
            let next = ours.next_after(now).unwrap();
            prop_assert_eq!(next, theirs, "{} in {} after {}", cron, zone, now);
            now = next;
        }
    }

    #[test]
    fn fixed_times_agree_with_another_implementation_across_clock_changes(
        minute in 0..60_u32,
        hour in 0..24_u32,
        zone in prop::sample::select(vec!["Europe/Prague", "America/New_York", "Australia/Lord_Howe"]),
        from in 1_750_000_000_i64..1_900_000_000,
    ) {
        let cron = format!("{minute} {hour} * * *");
        let oracle = CronParser::builder().seconds(Seconds::Disallowed).build().parse(&cron).unwrap();
        let ours = Schedule::parse(&cron, zone).unwrap();
        let now = DateTime::from_timestamp(from, 0).unwrap();
        let theirs =
            oracle.find_next_occurrence(&now.with_timezone(&ours.zone), false).unwrap().to_utc();
        prop_assert_eq!(ours.next_after(now).unwrap(), theirs);
    }

    #[test]
    fn time_goes_on_in_every_zone(
        minute in field(0, 59),
        hour in field(0, 23),
        zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
        from in 0_i64..2_000_000_000,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), zone.name()).unwrap();
        let now = DateTime::from_timestamp(from, 0).unwrap();
        let next = schedule.next_after(now).unwrap();
        prop_assert!(next > now);
        prop_assert!(next - now <= TimeDelta::days(2), "{} to {}", now, next);
    }
}
