//! Images whose forge does not answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use workflows::rebuild::ImageId;

use crate::level::retry_at;

/// Images whose forge did not tell what to build, and until when nobody asks again. It is kept in
/// memory only: a bridge that starts anew asks once more, and loses nothing.
#[derive(Debug, Default)]
pub(crate) struct PutOff(Mutex<HashMap<ImageId, (u32, DateTime<Utc>)>>);

impl PutOff {
    /// Those that are put off now, and until when.
    pub(super) fn images(&self, now: DateTime<Utc>) -> BTreeMap<ImageId, DateTime<Utc>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = |(image, (_, until)): (&ImageId, &(u32, DateTime<Utc>))| {
            (now < *until).then(|| (image.clone(), *until))
        };
        all.iter().filter_map(until).collect()
    }

    pub(super) fn again(&self, image: &ImageId, now: DateTime<Utc>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tries, until) = all.entry(image.clone()).or_insert((0, now));
        *until = retry_at(now, *tries, 0);
        *tries = tries.saturating_add(1);
    }

    pub(super) fn forget(&self, image: &ImageId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(image);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_off_is_asked_for_again_after_pauses_that_grow() {
        let put_off = PutOff::default();
        let image = ImageId::parse("containers/httpd@f43").unwrap();
        let mut now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert!(put_off.images(now).is_empty());
            put_off.again(&image, now);
            let begun = now;
            while !put_off.images(now).is_empty() {
                now += chrono::TimeDelta::seconds(1);
            }
            pauses.push((now - begun).num_seconds());
        }
        assert_eq!((&pauses[..4], pauses[11]), (&[1, 2, 4, 8][..], 300));
        put_off.again(&image, now);
        put_off.forget(&image);
        assert!(put_off.images(now).is_empty());
    }
}
