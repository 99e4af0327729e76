//! A small world that goes wrong at random, and what must be true when it comes to rest.

use proptest::prelude::*;

use super::*;

/// Images in a world; small ones fail in every way that large ones do.
const MOST_IMAGES: usize = 14;
/// Names from outside that images stand on.
const OUTSIDE: [&str; 3] = ["fedora", "debian", "scratchpad"];
/// Looks after which a world must have come to rest; each one either builds or passes time.
const MOST_LOOKS: usize = 2_000;

/// What can go wrong.
#[derive(Debug, Clone)]
struct Luck {
    /// Of builds: whether this one fails. Read over and over: a broken image stays broken.
    failures: Vec<bool>,
    /// Of the first looks: whether the registry is down and says nothing.
    outages: Vec<bool>,
    /// Of the first looks: whether the service is killed after it started builds. Nothing is
    /// recorded of them, although every other one had moved its names by then.
    kills: Vec<bool>,
    /// Whether builds are promoted; where not, stable names never move.
    promotes: bool,
    propagate: Propagation,
}

/// Some parents from images before it, so that there is no circle, and some from outside.
fn world() -> impl Strategy<Value = Vec<Image>> {
    let parents = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..4);
    let settings = (parents, 0_u8..12, any::<bool>());
    prop::collection::vec(settings, 1..MOST_IMAGES).prop_map(|settings| {
        let mut images: Vec<Image> = Vec::new();
        for (number, (parents, setting, gate)) in settings.into_iter().enumerate() {
            let names: Vec<String> = parents
                .iter()
                .map(|(index, builder)| {
                    let place = index.index(number + OUTSIDE.len());
                    let name = place.checked_sub(OUTSIDE.len()).map(|earlier| {
                        // Of a gated one, the name on either side.
                        let is_gated = images[earlier].names[0].stable.is_some();
                        let below = if is_gated && *builder { "candidate/" } else { "" };
                        format!("{below}i{earlier}")
                    });
                    let name = name.unwrap_or_else(|| OUTSIDE[place].to_owned());
                    if *builder { format!("*{name}") } else { name }
                })
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let make = if gate { gated } else { image };
            let mut image = make(&format!("i{number}"), &names);
            match setting {
                0 => image.held = Some("held".to_owned()),
                1 => image.autorebuild = Some(false),
                2 => image.fixed_release = Some("7".to_owned()),
                3 => image.mode = BuildMode::Isolated,
                _ => {}
            }
            images.push(image);
        }
        images
    })
}

fn luck() -> impl Strategy<Value = Luck> {
    let flags = |most| prop::collection::vec(any::<bool>(), 1..most);
    let ways = (any::<bool>(), any::<bool>());
    (flags(40), flags(6), flags(6), ways).prop_map(|(failures, outages, kills, ways)| {
        let propagate = if ways.0 { Propagation::Stable } else { Propagation::Candidate };
        Luck { failures, outages, kills, promotes: ways.1, propagate }
    })
}

/// Images, registries and a clock.
struct World {
    images: Vec<Image>,
    registry: Observed,
    policy: Policy,
    now: DateTime<Utc>,
    next_digest: u64,
    builds: Vec<ImageId>,
}

impl World {
    /// Where nothing is ever promoted, nothing was.
    fn new(images: Vec<Image>, propagate: Propagation, promotes: bool) -> Self {
        let policy = policy(ReleaseRules { propagate, ..rules() });
        let graph = Graph::new(images.clone()).unwrap();
        let mut registry = observed(&graph, &policy, &[]);
        for name in images.iter().flat_map(|image| &image.names) {
            registry.entry(name.candidate.clone()).or_insert(Observation::Found(index(1)));
            if let (Some(stable), false) = (&name.stable, promotes) {
                registry.insert(stable.clone(), Observation::Never);
            }
        }
        Self { images, registry, policy, now: now(), next_digest: 10, builds: Vec::new() }
    }

    fn moves(&mut self, reference: &Reference) {
        self.next_digest += 1;
        let target = index(self.next_digest);
        self.registry.insert(reference.clone(), Observation::Found(target));
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new(self.images.clone()).unwrap();
        graph.promoted_by(&self.registry);
        graph
    }

    /// What an image follows, and what that names now.
    fn current(&self, graph: &Graph, image: &ImageId) -> Vec<(Reference, Option<Target>, Target)> {
        let place = graph.place(image).unwrap();
        let look = |followed: graph::Followed<'_>| match &self.registry[followed.reference] {
            Observation::Found(target) => {
                Some((followed.reference.clone(), followed.parent.pin.clone(), target.clone()))
            }
            // A Dockerfile that has the stable name waits for it.
            Observation::Never if followed.reference == &followed.parent.reference => None,
            other => panic!("a registry keeps what it has: {other:?}"),
        };
        graph.followed(&self.policy, place).filter_map(look).collect()
    }

    /// Moves the names of an image, as a build of it does.
    fn publish(&mut self, image: &ImageId, promotes: bool) {
        let names = self.graph().image(image).unwrap().names.clone();
        for name in names {
            self.moves(&name.candidate);
            name.stable.iter().filter(|_| promotes).for_each(|stable| self.moves(stable));
        }
    }

    /// Builds an image on what its parents are now.
    fn build(&mut self, image: &ImageId, fails: bool, promotes: bool) {
        let graph = self.graph();
        let current = self.current(&graph, image);
        self.builds.push(image.clone());
        let place = graph.place(image).unwrap();
        let pins: Vec<(Parent, Target)> = graph
            .followed(&self.policy, place)
            .filter_map(|followed| {
                let (.., target) = current.iter().find(|(name, ..)| name == followed.reference)?;
                Some((followed.parent.clone(), target.clone()))
            })
            .collect();
        let now = self.now;
        let built = self.images.iter_mut().find(|known| known.id == *image).unwrap();
        if fails {
            let tried: Vec<Tried> = current
                .into_iter()
                .map(|(reference, _, target)| Tried { reference, digest: target.digest().clone() })
                .collect();
            let before = built.failure.as_ref().filter(|failure| failure.tried == tried);
            let attempts = before.map_or(0, |failure| failure.attempts) + 1;
            let reason = "bad luck".to_owned();
            built.failure = Some(Box::new(Failure { attempts, last_at: now, reason, tried }));
            return;
        }
        built.failure = None;
        for parent in &mut built.parents {
            if let Some((_, target)) = pins.iter().find(|(known, _)| known == parent) {
                parent.pin = Some(target.clone());
            }
        }
        self.publish(image, promotes);
    }

    /// Looks, starts and ends builds until a look finds nothing to do or to wait for.
    fn rest(&mut self, luck: &Luck) {
        let early = |flags: &[bool], look: usize| flags.get(look).copied().unwrap_or(false);
        for look in 0..MOST_LOOKS {
            let graph = self.graph();
            let seen =
                if early(&luck.outages, look) { Observed::new() } else { self.registry.clone() };
            let plan = plan(&graph, &seen, &self.policy, self.now);
            let rest_until = plan.blocked.iter().find_map(|blocked| match blocked.hindrance {
                Hindrance::BackingOff { until, .. } => Some(until),
                _ => None,
            });
            if plan.is_empty() && !seen.is_empty() && rest_until.is_none() {
                return;
            }
            let admission = admit(&graph, &plan, &Activity::default(), &self.policy, self.now);
            assert!(plan.is_empty() || !admission.start.is_empty(), "a plan that never starts");
            let killed = early(&luck.kills, look);
            for (number, image) in admission.start.iter().enumerate() {
                if !killed {
                    let fails = luck.failures[self.builds.len() % luck.failures.len()];
                    self.build(image, fails, luck.promotes);
                } else if number % 2 == 0 {
                    self.publish(image, luck.promotes);
                }
            }
            self.now = rest_until.unwrap_or(self.now).max(self.now + minutes(60));
        }
        panic!("the world did not come to rest in {MOST_LOOKS} looks");
    }
}

/// What keeps an image from being current at rest.
fn excused(image: &Image, blocked: &[&Blocked]) -> bool {
    image.mode != BuildMode::Release || blocked.iter().any(|b| b.image == image.id)
}

proptest! {
    #[test]
    fn at_rest_all_is_current_or_has_its_reason(images in world(), luck in luck(), moves in prop::collection::vec(0..OUTSIDE.len(), 1..4)) {
        let mut world = World::new(images, luck.propagate, luck.promotes);
        for outside in moves {
            world.moves(&reference(OUTSIDE[outside]));
        }
        world.rest(&luck);
        let graph = world.graph();
        let last = plan(&graph, &world.registry, &world.policy, world.now);
        prop_assert!(last.is_empty());
        let blocked: Vec<&Blocked> = last.blocked.iter().collect();
        for image in graph.images() {
            let current = world.current(&graph, &image.id);
            let stale = current.iter().any(|(_, pin, target)| pin.as_ref() != Some(target));
            prop_assert!(!stale || excused(image, &blocked), "{} is stale without a reason", image.id);
        }
    }

    #[test]
    fn without_failures_each_image_is_built_once_at_most(images in world(), moves in prop::collection::vec(0..OUTSIDE.len(), 1..4)) {
        // At stable, an image does not wait for a promotion that nobody has promised, and is
        // built again when it comes.
        let mut world = World::new(images, Propagation::Candidate, true);
        for outside in moves {
            world.moves(&reference(OUTSIDE[outside]));
        }
        let expected = plan(&world.graph(), &world.registry, &world.policy, world.now);
        let never = vec![false];
        world.rest(&Luck { failures: never.clone(), outages: never.clone(), kills: never, promotes: true, propagate: Propagation::Candidate });
        let built: BTreeSet<&ImageId> = world.builds.iter().collect();
        prop_assert_eq!(built.len(), world.builds.len());
        prop_assert_eq!(world.builds.len(), expected.builds());
        prop_assert!(built.iter().all(|image| expected.planned(image).is_some()));
    }

    #[test]
    fn every_graph_is_planned_each_image_after_its_parents(edges in prop::collection::vec((0_usize..20, 0_usize..20), 0..60), moved in 0_usize..20) {
        // Any edges at all, circles among them.
        let of = |child: usize| -> Vec<String> {
            edges.iter().filter(|(c, _)| *c == child).map(|(_, p)| format!("i{p}")).collect()
        };
        let images = (0..20).map(|n| {
            let parents = of(n);
            image(&format!("i{n}"), &parents.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let graph = Graph::new(images.collect()).unwrap();
        let policy = policy(rules());
        let plan = planned(&graph, &policy, &[&format!("i{moved}")]);
        let mut seen: BTreeSet<&ImageId> = BTreeSet::new();
        for wave in &plan.waves {
            prop_assert!(wave.iter().all(|planned| planned.after.iter().all(|a| seen.contains(a))));
            prop_assert!(wave.iter().all(|planned| seen.insert(&planned.image)));
            prop_assert!(wave.iter().all(|planned| plan.chain(&planned.image).is_some()));
        }
        prop_assert!(plan.blocked.iter().all(|b| !seen.contains(&b.image)));
        for blocked in &plan.blocked {
            let Hindrance::Circle(cycle) = &blocked.hindrance else {
                return Err(TestCaseError::fail("only circles stand in the way here"));
            };
            prop_assert!(cycle.path.len() > 1 && cycle.path.first() == cycle.path.last());
        }
        let picture = svg(&graph, &conditions(&graph, &plan, &Activity::default(), &policy));
        prop_assert!(picture.ends_with("</svg>\n"));
    }
}
