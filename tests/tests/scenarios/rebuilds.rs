//! Parent images move, and what stands on them is built again, once and in order.

use scenarios::parents::{REBUILDS, causes};
use scenarios::world::World;

#[tokio::test]
async fn a_chain_of_three_is_built_again_from_its_base_up() {
    let world = World::with_rebuilds(REBUILDS).await;
    let lower = world.image_on("lower", "base");
    let middle = world.image_on("middle", "lower");
    let upper = world.image_on("upper", "middle");
    for repository in [&lower, &middle] {
        world.first_build(repository).await;
    }
    let commit = world.first_build(&upper).await;
    world.all_current(3).await;

    let base = world.move_base("rawhide/base").await;

    let runs = world.all_current(6).await;
    let causes = causes(&runs);
    let built: Vec<&str> = causes[3..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(built, ["lower", "middle", "upper"]);
    assert!(causes[3].1.starts_with("parent "), "{}", causes[3].1);
    assert!(causes[3].1.contains("rawhide/base:latest moved from"), "{}", causes[3].1);
    let chain = &causes[5].1;
    assert!(chain.contains("(chain: containers/middle@rawhide ← parent"), "{chain}");
    assert!(chain.contains("containers/lower@rawhide ←"), "{chain}");
    assert_eq!(world.parent_of("lower").await, base);
    assert_eq!(world.parent_of("middle").await, world.latest("lower").await);
    assert_eq!(world.parent_of("upper").await, world.latest("middle").await);
    let newest = &runs[0];
    assert_eq!(newest["commit"], commit.as_str(), "the commit that was built last");
    assert_eq!(newest["jobs"][0]["nvr"], "upper-container-1.0-2.fc44", "a new release number");
    assert_eq!(upper.status(&commit, "layered-image / build").await["state"], "success");
    world.nothing_left().await;
}
