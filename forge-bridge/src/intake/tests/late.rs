//! Pushes that are ahead of the git server, or behind it.

use super::*;

#[tokio::test]
async fn a_push_that_is_faster_than_the_git_server_is_waited_for() {
    let mut scene = Scene::begin().await;
    let (old, new) = (scene.at("refs/heads/f43"), "1".repeat(40));
    scene.push(&old, &new).await;
    scene.plan(0).await;
    assert_eq!(scene.events().await, ["forge push new"]);
    assert!(scene.last_reason().await.contains("is gone from"), "{}", scene.last_reason().await);
    scene.plan(14).await;
    assert_eq!(scene.events().await, ["forge push new"]);
    scene.plan(2).await;
    assert_eq!(scene.events().await, ["forge push given_up"]);

    // The same words count when they come again, and wait again.
    scene.push(&old, &new).await;
    assert_eq!(scene.events().await, ["forge push given_up", "forge push new"]);
}

#[tokio::test]
async fn a_push_that_arrives_while_it_is_waited_for_is_built_once() {
    let mut scene = Scene::begin().await;
    let old = scene.at("refs/heads/f43");
    // Of the same repository, and so of the same name, but not in it yet.
    let new = scene.commit("second");
    let object = scene.bare().join("objects").join(&new[..2]).join(&new[2..]);
    let aside = scene.directory.path().join("aside");
    std::fs::rename(&object, &aside).unwrap();
    scene.push(&old, &new).await;
    scene.plan(0).await;
    assert_eq!(scene.events().await, ["forge push new"]);
    std::fs::rename(&aside, &object).unwrap();
    scene.put("refs/heads/f43", &new);
    scene.plan(1).await;
    scene.push(&old, &new).await;
    scene.plan(1).await;
    assert_eq!(scene.events().await, ["forge push planned", "forge push duplicate"]);
    assert_eq!(scene.built().await, [new]);
}

#[tokio::test]
async fn a_repository_that_is_not_there_for_a_while_loses_no_push() {
    let mut scene = Scene::begin().await;
    let old = scene.at("refs/heads/f43");
    let new = scene.commit("second");
    scene.put("refs/heads/f43", &new);
    let away = scene.directory.path().join("away");
    std::fs::rename(scene.bare(), &away).unwrap();
    scene.push(&old, &new).await;
    scene.plan(0).await;
    scene.plan(60 * 24 * 2).await;
    assert_eq!(scene.events().await, ["forge push new"], "a person may mend it");
    // A look takes its word, and finds nobody at home.
    scene.sweep().await;
    scene.plan(60 * 24 * 2).await;
    assert_eq!(scene.events().await, ["forge push given_up"]);
    std::fs::rename(&away, scene.bare()).unwrap();
    scene.sweep().await;
    assert_eq!(scene.events().await, ["forge push given_up", "sweep push planned"]);
    assert_eq!(scene.built().await, [new]);
}

#[tokio::test]
async fn a_look_that_took_the_word_of_a_push_does_so_no_more_when_it_is_given_up() {
    let mut scene = Scene::begin().await;
    let old = scene.at("refs/heads/f43");
    scene.push(NULL, &old).await;
    scene.plan(0).await;
    scene.sweep().await;
    let new = scene.commit("second");
    scene.put("refs/heads/f43", &new);
    scene.push(&old, &new).await;
    // Not planned: intake is behind an outage.
    scene.now += TimeDelta::minutes(16);
    while Arc::clone(&scene.sweeper).turn(scene.now).await.unwrap() == Turn::Busy {}
    let away = scene.directory.path().join("away");
    std::fs::rename(scene.bare(), &away).unwrap();
    // The look has read what is scheduled at the new head.
    std::fs::remove_dir_all(scene.directory.path().join("state/mirrors/far")).unwrap();
    scene.plan(60 * 24 * 4).await;
    std::fs::rename(&away, scene.bare()).unwrap();
    assert_eq!(scene.events().await.last().unwrap(), "forge push given_up");
    scene.sweep().await;
    assert_eq!(scene.built().await, [old, new]);
}

#[tokio::test]
async fn a_push_that_was_overwritten_is_given_up_at_once() {
    let mut scene = Scene::begin().await;
    scene.push(NULL, &"1".repeat(40)).await;
    scene.plan(0).await;
    assert_eq!(scene.events().await, ["forge push given_up"]);
    assert!(scene.last_reason().await.starts_with("superseded: "), "{}", scene.last_reason().await);
}

#[tokio::test]
async fn a_push_back_and_forth_in_one_interval_is_seen_although_its_head_was_told() {
    let mut scene = Scene::begin().await;
    let first = scene.at("refs/heads/f43");
    scene.push(NULL, &first).await;
    scene.plan(0).await;
    scene.sweep().await;
    let second = scene.commit("second");
    scene.put("refs/heads/f43", &second);
    scene.push(&first, &second).await;
    scene.plan(0).await;
    scene.put("refs/heads/f43", &first);
    scene.push(&second, &first).await;
    scene.plan(0).await;
    // Nobody tells of the third push.
    scene.put("refs/heads/f43", &second);
    scene.sweep().await;
    assert_eq!(scene.built().await, [&first, &second, &first, &second].map(Clone::clone));
}

#[tokio::test]
async fn a_push_back_that_the_git_server_does_not_show_yet_is_found_by_the_next_look() {
    let mut scene = Scene::begin().await;
    let first = scene.at("refs/heads/f43");
    let second = scene.commit("second");
    scene.push(NULL, &first).await;
    scene.plan(0).await;
    scene.sweep().await;
    for (before, after) in [(&first, &second), (&second, &first)] {
        scene.put("refs/heads/f43", after);
        scene.push(before, after).await;
        scene.plan(0).await;
    }
    scene.push(&first, &second).await;
    scene.plan(0).await;
    assert_eq!(scene.events().await.last().unwrap(), "forge push duplicate", "as far as is known");
    scene.put("refs/heads/f43", &second);
    scene.sweep().await;
    assert_eq!(scene.built().await, [&first, &second, &first, &second].map(Clone::clone));
}

#[tokio::test]
async fn a_push_that_is_told_late_is_built_and_is_never_the_newest() {
    let mut scene = Scene::begin().await;
    let first = scene.at("refs/heads/f43");
    let (second, third) = (scene.commit("second"), scene.commit("third"));
    scene.put("refs/heads/f43", &third);
    scene.push(&second, &third).await;
    scene.plan(0).await;
    scene.push(&first, &second).await;
    scene.plan(0).await;
    scene.sweep().await;
    assert_eq!(scene.events().await, ["forge push planned"; 2]);
    assert_eq!(scene.built().await, [third.clone(), second]);
    assert_eq!(scene.texts("SELECT CAST(rank AS TEXT) FROM runs ORDER BY id").await, ["1", "0"]);
    let known = "SELECT head FROM watched_branches WHERE ref_name = 'refs/heads/f43'";
    assert_eq!(scene.texts(known).await, [third]);
}

#[tokio::test]
async fn a_deletion_that_is_told_late_is_not_believed() {
    let mut scene = Scene::begin().await;
    let first = scene.at("refs/heads/f43");
    let gone = |sender: &str| {
        json!({"ref": "f43", "ref_type": "branch", "pusher_type": "user",
               "repository": {"full_name": "containers/httpd"}, "sender": {"login": sender}})
    };
    scene.push(NULL, &first).await;
    scene.plan(0).await;
    scene.deliver("delete", gone("rose")).await;
    scene.plan(0).await;
    let reason = scene.last_reason().await;
    assert_eq!(reason, format!("superseded: `f43` is at {}", &first[..12]));
    git(&scene.bare(), &["update-ref", "-d", "refs/heads/f43"]);
    scene.deliver("delete", gone("mina")).await;
    scene.plan(0).await;
    let expected =
        ["forge push planned", "forge branch_deleted given_up", "forge branch_deleted skipped"];
    assert_eq!(scene.events().await, expected);
}
