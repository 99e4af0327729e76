//! Times at which something is due: five cron fields in a time zone.
//!
//! The `cron` crate searches the calendar. What it says differently from every crontab that a
//! packager knows is put right here: it wants seconds, counts weekdays from Sunday as 1, takes
//! day of month *and* day of week where cron takes either, and stumbles over clock changes. So
//! each field is read here and handed over spelt out, and the search runs in a calendar without
//! clock changes, which are applied to what it finds.

mod field;
#[cfg(test)]
mod tests;

use std::str::FromStr as _;

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::diagnostic::quoted;
use field::{DAY_OF_MONTH, DAY_OF_WEEK, Field, HOUR, MINUTE, MONTH};

/// Longest text of five fields, in bytes.
pub const MAX_CRON_BYTES: usize = 256;
/// Most times of the calendar that are looked at for one answer. More than one is looked at only
/// around a clock change, where an hour of minutes may be behind `now` already.
const MAX_CANDIDATES: usize = 24 * 60;
/// Longest stretch of time that a clock change leaves out: Samoa left out a whole day in 2011.
const MAX_GAP_MINUTES: i64 = 25 * 60;

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "schedule {0} must have five fields: minute, hour, day of month, month, day of week; or \
         be one of @hourly, @daily, @weekly, @monthly, @yearly"
    )]
    Fields(String),
    /// One field cannot be read.
    #[error("{field} of schedule {cron}: {why}")]
    Field {
        /// The whole, quoted.
        cron: String,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// No month has such a day.
    #[error("schedule {0} never comes due: none of its months has one of its days")]
    Never(String),
    /// No such zone.
    #[error("{0} is no IANA time zone such as Europe/Prague or UTC")]
    Timezone(String),
}

impl ScheduleError {
    /// Whether the zone is at fault, and not the fields.
    #[must_use]
    pub fn is_about_timezone(&self) -> bool {
        matches!(self, Self::Timezone(_))
    }
}

/// Five cron fields in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    zone: Tz,
    /// One, or two when either of day of month and day of week suffices.
    calendars: Vec<cron::Schedule>,
}

impl Schedule {
    /// Reads five fields, such as `30 4 * * MON-FRI`, and the name of a time zone.
    ///
    /// Sunday is 0 or 7. When both day of month and day of week are restricted, either suffices,
    /// unless one of them begins with `*`: that is Vixie cron's rule and everyone's since.
    ///
    /// # Errors
    /// [`ScheduleError`] says which field is wrong, or that the schedule can never come due.
    pub fn parse(cron: &str, timezone: &str) -> Result<Self, ScheduleError> {
        let zone = Tz::from_str(timezone).map_err(|_| ScheduleError::Timezone(quoted(timezone)))?;
        let not_five = || ScheduleError::Fields(quoted(cron));
        if cron.len() > MAX_CRON_BYTES {
            return Err(not_five());
        }
        let text = unaliased(cron.trim()).ok_or_else(not_five)?;
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minute, hour, day, month, weekday] = words.as_slice() else {
            return Err(not_five());
        };
        let read = |spec: &field::Spec, word| {
            Field::parse(spec, word).map_err(|why| ScheduleError::Field {
                cron: quoted(cron),
                field: spec.name,
                why,
            })
        };
        let time = [read(&MINUTE, minute)?, read(&HOUR, hour)?];
        let (day, month) = (read(&DAY_OF_MONTH, day)?, read(&MONTH, month)?);
        let weekday = read(&DAY_OF_WEEK, weekday)?;
        let either = !day.is_starred() && !weekday.is_starred();
        if !either && !has_day(&day, &month) {
            return Err(ScheduleError::Never(quoted(cron)));
        }
        let all = |spec| Field::all(spec);
        let days = if either {
            vec![(day, all(&DAY_OF_WEEK)), (all(&DAY_OF_MONTH), weekday)]
        } else {
            vec![(day, weekday)]
        };
        let calendars = days
            .into_iter()
            .map(|(day, weekday)| calendar(&time, &day, &month, &weekday))
            .collect::<Result<_, _>>()
            .map_err(|_| not_five())?;
        Ok(Self { zone, calendars })
    }

    /// The first time after `now` at which this is due.
    ///
    /// A time that a clock change leaves out comes due when the clock goes on, and one that
    /// happens twice comes due the first time only. `None` when the calendar of the search, which
    /// ends with the year 2100, has no more.
    #[must_use]
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = now.with_timezone(&self.zone).naive_local();
        self.calendars.iter().filter_map(|calendar| self.next_in(calendar, local, now)).min()
    }

    fn next_in(
        &self,
        calendar: &cron::Schedule,
        local: NaiveDateTime,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        calendar
            .after(&local.and_utc())
            .take(MAX_CANDIDATES)
            .filter_map(|candidate| self.instant(candidate.naive_utc()))
            .find(|&instant| instant > now)
    }

    /// The instant that a clock on the wall of this zone calls `local`.
    fn instant(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        (0..=MAX_GAP_MINUTES).find_map(|minutes| {
            let local = local.checked_add_signed(Duration::minutes(minutes))?;
            match self.zone.from_local_datetime(&local) {
                LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => {
                    Some(instant.with_timezone(&Utc))
                }
                LocalResult::None => None,
            }
        })
    }
}

/// The five fields that a name such as `@daily` stands for; `None` for an unknown name.
fn unaliased(text: &str) -> Option<&str> {
    match text {
        "@hourly" => Some("0 * * * *"),
        "@daily" | "@midnight" => Some("0 0 * * *"),
        "@weekly" => Some("0 0 * * 0"),
        "@monthly" => Some("0 0 1 * *"),
        "@yearly" | "@annually" => Some("0 0 1 1 *"),
        other if other.starts_with('@') => None,
        other => Some(other),
    }
}

/// Whether one of the months has one of the days. Every weekday falls on each of them some year.
fn has_day(day: &Field, month: &Field) -> bool {
    let longest = |month| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    month.values().any(|month| day.values().any(|day| day <= longest(month)))
}

fn calendar(
    time: &[Field; 2],
    day: &Field,
    month: &Field,
    weekday: &Field,
) -> Result<cron::Schedule, cron::error::Error> {
    let [minute, hour] = time;
    // The crate's Sunday is 1.
    let weekday = weekday.listed(|day| day + 1);
    let same = |value| value;
    let (minute, hour) = (minute.listed(same), hour.listed(same));
    let (day, month) = (day.listed(same), month.listed(same));
    cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
}
