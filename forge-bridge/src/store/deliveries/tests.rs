use chrono::{DateTime, Utc};
use tempfile::TempDir;
use workflows::event::{Event, PullRequest, PullRequestAction, PullRequestClosed, Push};
use workflows::names::RepositoryName;

use super::*;
use crate::store::Store;
use crate::store::planning::Decision;
use crate::views::{DeliveryFilter, DeliverySummary};
use crate::webhook::signature::tests::verified;

async fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    (directory, store)
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(in crate::store) fn new(forge: &str, delivery: &str) -> NewDelivery {
    NewDelivery {
        forge: forge.into(),
        delivery: delivery.into(),
        event_name: "push".into(),
        headers: r#"{"content-type":"application/json","user-agent":"x"}"#.into(),
        body: verified(delivery),
    }
}

fn push(after: char) -> Event {
    let id = |digit: char| digit.to_string().repeat(40).parse().unwrap();
    Event::Push(Push {
        repository: "containers/httpd".parse().unwrap(),
        ref_name: "refs/heads/f43".parse().unwrap(),
        before: Some(id('1')),
        after: id(after),
        forced: false,
        actor: None,
    })
}

fn decoded(delivery: i64, event: Event) -> Decoded {
    Decoded { delivery: DeliveryId(delivery), forge: "forge".into(), event, claimed: None }
}

async fn list(store: &Store) -> Vec<DeliverySummary> {
    store.view_deliveries(&DeliveryFilter::default()).await.unwrap().deliveries
}

async fn shown(store: &Store, id: DeliveryId) -> DeliverySummary {
    store.view_delivery(id).await.unwrap().unwrap().delivery
}

#[tokio::test]
async fn answers_stand_in_the_order_of_the_batch() {
    let (_directory, store) = store().await;
    let first = store.insert_deliveries(vec![new("forge", "b")], now()).await.unwrap();
    assert_eq!(first, [Insertion::Stored(DeliveryId(1))]);
    let batch = ["a", "b", "c", "a"].map(|id| new("forge", id)).into_iter();
    // Another forge may use the same id.
    let batch = batch.chain([new("other", "b")]).collect();
    let answers = store.insert_deliveries(batch, now()).await.unwrap();
    let [
        Insertion::Stored(a),
        Insertion::Seen(DeliveryId(1)),
        Insertion::Stored(c),
        Insertion::Seen(twice),
        Insertion::Stored(other),
    ] = answers[..]
    else {
        panic!("{answers:?}")
    };
    assert_eq!(a, twice);
    assert!(a != c && c != other);
    for (id, delivery) in [(a, "a"), (c, "c"), (other, "b")] {
        let body = store.delivery_body(id).await.unwrap().unwrap();
        assert_eq!((shown(&store, id).await.delivery.as_str(), body), (delivery, delivery.into()));
    }
}

#[tokio::test]
async fn batches_of_every_size_are_stored_whole() {
    let (_directory, store) = store().await;
    for size in [1_usize, 2, 7, 31, 45, 128] {
        let batch = (0..size).map(|n| new("forge", &format!("{size}-{n}"))).collect();
        let answers = store.insert_deliveries(batch, now()).await.unwrap();
        assert_eq!(answers.len(), size);
        assert!(answers.iter().all(|answer| matches!(answer, Insertion::Stored(_))), "{size}");
    }
    let undecoded = store.undecoded(1000, usize::MAX).await.unwrap();
    assert_eq!(undecoded.len(), 1 + 2 + 7 + 31 + 45 + 128);
    assert_eq!(undecoded[0].content_type.as_deref(), Some("application/json"));
}

#[tokio::test]
async fn bodies_to_decode_are_bounded_but_never_none() {
    let (_directory, store) = store().await;
    let batch = ["aaaa", "bbbb", "cccc"].map(|id| new("forge", id)).into_iter().collect();
    store.insert_deliveries(batch, now()).await.unwrap();
    assert_eq!(store.undecoded(2, usize::MAX).await.unwrap().len(), 2);
    assert_eq!(store.undecoded(9, 0).await.unwrap().len(), 1);
    assert_eq!(store.undecoded(9, 4).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_second_of_two_equal_events_names_the_first() {
    let (_directory, store) = store().await;
    let batch = ["one", "two", "three"].map(|id| new("forge", id)).into_iter().collect();
    store.insert_deliveries(batch, now()).await.unwrap();
    let batch = [decoded(1, push('2')), decoded(2, push('2')), decoded(3, push('3'))];
    assert_eq!(store.record_decoded(&batch, now()).await.unwrap(), 2);
    assert!(store.undecoded(9, usize::MAX).await.unwrap().is_empty());

    let list = list(&store).await;
    let events: Vec<_> = list.iter().rev().map(|line| line.event.as_ref().unwrap()).collect();
    assert_eq!(
        events.iter().map(|e| e.state.as_str()).collect::<Vec<_>>(),
        ["new", "duplicate", "new"]
    );
    assert_eq!(events[1].reason.as_deref(), Some("the same as event 1 of delivery one"));
}

#[tokio::test]
async fn a_delivery_is_recorded_once_even_if_two_loops_decode_it() {
    let (_directory, store) = store().await;
    store.insert_deliveries(vec![new("forge", "one")], now()).await.unwrap();
    let batch = [decoded(1, push('2'))];
    assert_eq!(store.record_decoded(&batch, now()).await.unwrap(), 1);
    assert_eq!(store.record_decoded(&batch, now()).await.unwrap(), 0);
    let list = list(&store).await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].event.as_ref().unwrap().state, "new");
}

#[tokio::test]
async fn a_replay_repairs_an_ignored_delivery_and_repeats_no_other() {
    let (_directory, store) = store().await;
    let batch = ["one", "two"].map(|id| new("forge", id)).into_iter().collect();
    store.insert_deliveries(batch, now()).await.unwrap();
    let misread = Event::ignored(None, "a mistake in the decoder");
    store.record_decoded(&[decoded(1, push('2')), decoded(2, misread)], now()).await.unwrap();

    let again = store.replay(DeliveryId(1), now()).await.unwrap().unwrap();
    let repaired = store.replay(DeliveryId(2), now()).await.unwrap().unwrap();
    assert_eq!(store.replay(DeliveryId(99), now()).await.unwrap(), None);
    let waiting = store.undecoded(9, usize::MAX).await.unwrap();
    assert_eq!(waiting.iter().map(|one| one.id).collect::<Vec<_>>(), [again, repaired]);
    assert_eq!(waiting[0].body, b"one");

    let batch = [decoded(again.0, push('2')), decoded(repaired.0, push('4'))];
    assert_eq!(store.record_decoded(&batch, now()).await.unwrap(), 1);
    let replayed = shown(&store, again).await;
    assert!(replayed.delivery.starts_with("replay-"));
    assert_eq!(replayed.event.unwrap().state, "duplicate");
    assert_eq!(shown(&store, repaired).await.event.unwrap().state, "new");
}

fn moved(before: char, after: char) -> Event {
    let Event::Push(push) = push(after) else { unreachable!("a push") };
    let before = Some(before.to_string().repeat(40).parse().unwrap());
    Event::Push(Push { before, ..push })
}

/// A store with deliveries of these bodies.
async fn delivered(bodies: &[&str]) -> (TempDir, Store) {
    let (directory, store) = store().await;
    let batch = bodies.iter().enumerate().map(|(number, body)| NewDelivery {
        body: verified(*body),
        ..new("forge", &format!("d{number}"))
    });
    store.insert_deliveries(batch.collect(), now()).await.unwrap();
    (directory, store)
}

/// What every delivery became, the oldest first.
async fn states(store: &Store) -> Vec<(String, Option<String>)> {
    let events = list(store).await.into_iter().rev().map(|line| line.event.unwrap());
    events.map(|event| (event.state, event.reason)).collect()
}

#[tokio::test]
async fn a_push_that_names_another_old_head_than_the_sweep_saw_is_the_same() {
    let (_directory, store) = delivered(&["swept", "late", "once more"]).await;
    let swept = [decoded(1, moved('2', '3'))];
    store.record_decoded(&swept, now()).await.unwrap();
    // In one batch and in two.
    let late = [decoded(2, moved('1', '3')), decoded(3, moved('4', '3'))];
    assert_eq!(store.record_decoded(&late, now()).await.unwrap(), 0);
    let same = Some("the same as event 1 of delivery d0".to_owned());
    assert_eq!(
        states(&store).await[1..],
        [("duplicate".into(), same.clone()), ("duplicate".into(), same)]
    );
}

#[tokio::test]
async fn a_branch_that_is_back_is_left_to_who_can_ask_the_forge() {
    let (_directory, store) = delivered(&["a", "b", "a, later", "b, later", "a, later"]).await;
    let all = [
        decoded(1, moved('1', '2')),
        decoded(2, moved('2', '1')),
        decoded(3, moved('1', '2')),
        decoded(4, moved('2', '1')),
        decoded(5, moved('1', '2')),
    ];
    assert_eq!(store.record_decoded(&all[..3], now()).await.unwrap(), 3);
    let due = store.events_due(now(), 9, &[]).await.unwrap();
    let doubtful: Vec<_> = due.iter().map(|event| event.repeats.map(|id| id.0)).collect();
    assert_eq!(doubtful, [None, None, Some(1)]);

    // It counts only once it has proved itself.
    let back = due[2].id;
    assert_eq!(store.record_decoded(&all[3..], now()).await.unwrap(), 0);
    let told = states(&store).await;
    assert_eq!(told[3].1.as_deref(), Some("the same as event 2 of delivery d1"));
    assert_eq!(told[4].1.as_deref(), Some("the same as event 3 of delivery d2"));
    let no = Decision::Repeated("it is elsewhere".into());
    store.record_decision(back, "forge", &no, now()).await.unwrap();
    assert_eq!(states(&store).await[2], ("duplicate".into(), Some("it is elsewhere".into())));
}

#[tokio::test]
async fn the_bytes_of_a_replay_tell_it_from_a_branch_that_is_back() {
    let (_directory, store) = delivered(&["a", "b", "a"]).await;
    let all =
        [decoded(1, moved('1', '2')), decoded(2, moved('2', '1')), decoded(3, moved('1', '2'))];
    assert_eq!(store.record_decoded(&all, now()).await.unwrap(), 2);
    let same = Some("the same as event 1 of delivery d0".to_owned());
    assert_eq!(states(&store).await[2], ("duplicate".into(), same));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_holds_up_no_other() {
    let (_directory, store) = delivered(&["a", "b"]).await;
    let all = [decoded(1, moved('1', '2')), decoded(2, moved('2', '3'))];
    store.record_decoded(&all, now()).await.unwrap();
    let mut tx = store.write().await.unwrap();
    sqlx::query(r#"UPDATE events SET event = '{"event": "of a later version"}' WHERE id = 1"#)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let due = store.events_due(now(), 9, &[]).await.unwrap();
    assert_eq!(due.iter().map(|event| event.id.0).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn an_older_database_learns_where_its_pull_requests_stand() {
    let (_directory, store) = delivered(&["a", "b"]).await;
    let repository: RepositoryName = "containers/httpd".parse().unwrap();
    let pull = Event::PullRequest(PullRequest {
        repository: repository.clone(),
        number: 7,
        action: PullRequestAction::Opened,
        head: "1a".repeat(20).parse().unwrap(),
        head_branch: "fix".to_owned(),
        head_repository: None,
        head_ref: None,
        base_ref: "refs/heads/f43".parse().unwrap(),
        base: None,
        author: None,
    });
    let closed = Event::PullRequestClosed(PullRequestClosed {
        repository,
        number: 7,
        merged: true,
        moment: "now".to_owned(),
        actor: None,
        pull: None,
    });
    store.record_decoded(&[decoded(1, pull), decoded(2, closed)], now()).await.unwrap();
    let stand = async || -> Vec<(String, Option<String>)> {
        sqlx::query_as("SELECT moved_ref, moved_to FROM events WHERE moved_ref IS NOT NULL")
            .fetch_all(&store.reader)
            .await
            .unwrap()
    };
    let known = stand().await;
    let head = format!("{} refs/heads/f43", "1a".repeat(20));
    assert_eq!(known, [("pull 7".to_owned(), Some(head)), ("pull 7".to_owned(), None)]);
    let mut tx = store.write().await.unwrap();
    let change = include_str!("../../../migrations/0115_pull_heads.sql");
    for sql in ["UPDATE events SET moved_ref = NULL, moved_to = NULL", change] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(stand().await, known);
}
