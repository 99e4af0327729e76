//! Hours of bad weather, as many as the clock of a test wants.

use super::*;
use crate::forge::tests::Weather;

/// What an idle loop waits between two looks.
const TICK: TimeDelta = TimeDelta::seconds(2);
const COMMITS: usize = 40;

/// The newest state of each context, as the forge shows it.
fn shown(scene: &Scene) -> HashMap<String, String> {
    let posted = scene.fake.posted().into_iter();
    posted
        .map(|post| {
            (text(&post.status["context"]).to_owned(), text(&post.status["state"]).to_owned())
        })
        .collect()
}

/// Jobs that begin and end at their own times within the hour.
async fn work_goes_on(scene: &Scene, minute: usize, now: DateTime<Utc>) {
    let end = status::finished(Outcome::Success, None, "Done");
    if minute < COMMITS {
        let context = format!("w / job {minute}");
        say(&scene.store, &context, &status::accepted(), now).await;
        say(&scene.store, &context, &status::queued(), now).await;
    }
    if (5..COMMITS + 5).contains(&minute) {
        say(&scene.store, &format!("w / job {}", minute - 5), &status::running(1), now).await;
    }
    if (10..COMMITS + 10).contains(&minute) {
        say(&scene.store, &format!("w / job {}", minute - 10), &end, now).await;
    }
}

/// An hour in which work goes on and the reporter looks again and again.
async fn an_hour_passes(scene: &Scene, reporter: &Reporter, now: &mut DateTime<Utc>) {
    for minute in 0..60 {
        work_goes_on(scene, minute, *now).await;
        for _ in 0..30 {
            settle(reporter, *now).await;
            *now += TICK;
        }
    }
}

/// The longest pause of one status.
async fn the_longest_pause_passes(reporter: &Reporter, now: &mut DateTime<Utc>) {
    for _ in 0..60 * 8 / 2 {
        settle(reporter, *now).await;
        *now += TICK;
    }
}

#[tokio::test]
async fn after_an_hour_of_outage_each_status_is_told_once_and_as_it_is() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let mut now = Utc::now();
    scene.fake.weather(Weather::Away);
    an_hour_passes(&scene, &reporter, &mut now).await;
    let asked = scene.fake.requests();
    assert!(asked > 0 && asked <= 60 * 60 / 16 * BATCH as usize, "{asked} questions in an hour");
    assert_eq!(scene.told(), [""; 0]);

    scene.fake.weather(Weather::Fair);
    the_longest_pause_passes(&reporter, &mut now).await;
    let shown = shown(&scene);
    assert_eq!(shown.len(), COMMITS);
    assert!(shown.values().all(|state| state == "success"), "{shown:?}");
    assert_eq!(scene.fake.requests() - asked, COMMITS, "one call for each, and no other");
}

#[tokio::test]
async fn a_storm_of_bad_gateways_delays_and_loses_nothing() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let mut now = Utc::now();
    scene.fake.weather(Weather::Storm);
    an_hour_passes(&scene, &reporter, &mut now).await;
    the_longest_pause_passes(&reporter, &mut now).await;
    let shown = shown(&scene);
    assert_eq!(shown.len(), COMMITS);
    assert!(shown.values().all(|state| state == "success"), "{shown:?}");
    // Accepted, running and ended are three words at most, and the end is told once more where the
    // answer to one of the others was lost. Two of three calls are.
    assert!(scene.fake.posted().len() <= 4 * COMMITS, "{}", scene.fake.posted().len());
    assert!(scene.fake.requests() <= 12 * COMMITS + BATCH as usize, "{}", scene.fake.requests());
    let mut last: HashMap<String, String> = HashMap::new();
    for told in scene.fake.posted() {
        let context = text(&told.status["context"]).to_owned();
        let state = text(&told.status["state"]).to_owned();
        let before = last.insert(context, state.clone());
        let is_end = before.as_deref() == Some("success");
        assert!(!is_end || state == "success", "an older state came after a newer one");
    }
}

#[tokio::test]
async fn limits_in_a_row_are_each_waited_for_to_their_end() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let begin = Utc::now();
    let mut now = begin;
    say(&scene.store, "w / a", &status::queued(), now).await;
    for _ in 0..3 {
        scene.fake.answer_next(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "600")]);
    }
    for _ in 0..40 * 60 / 2 {
        settle(&reporter, now).await;
        now += TICK;
    }
    assert_eq!(scene.fake.requests(), 4, "three limits and the one that was taken");
    assert_eq!(scene.told(), ["w / a pending"]);
}

#[tokio::test]
async fn pauses_of_no_time_make_no_storm_and_end_nothing() {
    let limits: [(StatusCode, &[(&'static str, &str)]); 3] = [
        (StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "0")]),
        (StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", "1")]),
        (StatusCode::FORBIDDEN, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")]),
    ];
    for (status, headers) in limits {
        let scene = Scene::begin().await;
        let reporter = scene.reporter();
        let begin = Utc::now();
        let mut now = begin;
        for context in ["w / a", "w / b"] {
            say(&scene.store, context, &status::queued(), now).await;
        }
        for _ in 0..1000 {
            scene.fake.answer_next(status, headers);
        }
        while now < begin + TimeDelta::minutes(10) {
            settle(&reporter, now).await;
            now += TICK;
        }
        let asked = scene.fake.requests();
        assert!((10..=40).contains(&asked), "{status}: {asked} posts of two in ten minutes");
        let behind =
            scene.store.statuses_behind("forge", NOBODY, now + TICK * 60, 9).await.unwrap();
        assert_eq!(behind.iter().map(|one| one.attempts).collect::<Vec<_>>(), [0, 0], "{status}");
    }
}

#[tokio::test]
async fn words_that_a_forge_puts_off_for_weeks_are_given_up() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let begin = Utc::now();
    say(&scene.store, "w / a", &status::queued(), begin).await;
    for (days, refused) in [(1, 0), (13, 0), (15, 1)] {
        scene.fake.answer_next(StatusCode::TOO_MANY_REQUESTS, &[]);
        settle(&reporter, begin + TimeDelta::days(days)).await;
        assert_eq!(scene.store.refused_statuses(None).await.unwrap().len(), refused, "{days} days");
    }
}

#[tokio::test]
async fn a_limit_that_somebody_else_met_holds_for_statuses_too() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    say(&scene.store, "w / a", &status::queued(), now).await;
    let limit = ForgeError::Retry {
        after: Some(Duration::from_secs(90)),
        holder: None,
        may_be_done: false,
        why: "x".into(),
    };
    reporter.desks[0].forge.heard(&limit, now);
    settle(&reporter, now + TimeDelta::seconds(80)).await;
    assert_eq!(scene.fake.requests(), 0);
    settle(&reporter, now + TimeDelta::seconds(91)).await;
    assert_eq!(scene.told(), ["w / a pending"]);
}

#[tokio::test]
async fn the_newest_words_are_told_once_more_where_an_older_post_was_never_answered() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let begin = Utc::now();
    let settle_at =
        async |minutes: i64| settle(&reporter, begin + TimeDelta::minutes(minutes)).await;
    let running = status::running(1);
    let end = status::finished(Outcome::Success, None, "Done");
    let (lost, away) = (StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE);
    for (minutes, context, fault) in [(0, "w / lost", lost), (2, "w / away", away)] {
        say(&scene.store, context, &running, begin).await;
        scene.fake.answer_next(fault, &[]);
        settle_at(minutes).await;
        say(&scene.store, context, &end, begin).await;
        settle_at(minutes + 1).await;
    }
    let mut told = vec!["w / lost success", "w / away success"];
    assert_eq!(scene.told(), told);
    // The same words again do no harm, and what follows them is what stays.
    say(&scene.store, "w / same", &running, begin).await;
    scene.fake.answer_next(lost, &[]);
    settle_at(4).await;
    settle_at(5).await;
    say(&scene.store, "w / same", &end, begin).await;
    settle_at(5).await;
    told.extend(["w / same pending", "w / same success"]);
    assert_eq!(scene.told(), told);
    for minutes in [6, 7, 10, 30, 300] {
        settle_at(minutes).await;
    }
    told.extend(["w / lost success", "w / same success"]);
    assert_eq!(scene.told(), told, "503 says that nobody has begun");
}

#[tokio::test]
async fn words_whose_post_a_crash_cut_short_are_told_once_more() {
    let mut scene = Scene::begin().await;
    let now = Utc::now();
    say(&scene.store, "w / a", &status::running(1), now).await;
    // The post is under way, and there is no more to see of it.
    let behind = scene.store.statuses_behind("forge", NOBODY, now, 9).await.unwrap();
    scene.store.statuses_begun(&behind).await.unwrap();
    scene.store.close().await;
    scene.store = open(scene.directory.path()).await;
    let reporter = scene.reporter();
    say(&scene.store, "w / a", &status::finished(Outcome::Success, None, "Done"), now).await;
    settle(&reporter, now).await;
    assert_eq!(scene.told(), ["w / a success"]);
    for minutes in [4, 6, 30] {
        settle(&reporter, now + TimeDelta::minutes(minutes)).await;
    }
    assert_eq!(scene.told(), ["w / a success"; 2], "what came in between is overwritten");
}

#[tokio::test]
async fn what_is_told_once_more_and_refused_stays_as_it_was() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    say(&scene.store, "w / a", &status::running(1), now).await;
    scene.fake.answer_next(StatusCode::BAD_GATEWAY, &[]);
    settle(&reporter, now).await;
    say(&scene.store, "w / a", &status::finished(Outcome::Success, None, "Done"), now).await;
    settle(&reporter, now + TimeDelta::minutes(1)).await;
    scene.fake.answer_next(StatusCode::FORBIDDEN, &[]);
    settle(&reporter, now + TimeDelta::minutes(7)).await;
    settle(&reporter, now + TimeDelta::minutes(30)).await;
    assert_eq!((scene.fake.requests(), scene.told().len()), (3, 1));
    assert!(scene.store.refused_statuses(None).await.unwrap().is_empty());
    assert_eq!(scene.fake.comments(), [""; 0]);
}
