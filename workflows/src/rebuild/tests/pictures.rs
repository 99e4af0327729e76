use super::*;

fn drawn(graph: &Graph, moved: &[&str]) -> String {
    let policy = policy(rules());
    let plan = planned(graph, &policy, moved);
    svg(graph, &conditions(graph, &plan, &Activity::default(), &policy))
}

#[test]
fn each_image_shows_where_it_stands() {
    let mut images = images("base < fedora\n app < base *go\n test < base\n held < fedora");
    images[2].mode = BuildMode::Scratch;
    images[3].held = Some("broken".to_owned());
    let picture = drawn(&Graph::new(images).unwrap(), &["fedora"]);
    for title in [
        "base: waiting",
        "app: waiting",
        "test: apart",
        "held: blocked",
        "go:latest: built elsewhere",
    ] {
        assert!(picture.contains(&format!("{title}</title>")), "{title}");
    }
    assert_eq!(picture.matches("<path").count(), 5);
    assert_eq!(picture.matches("stroke-dasharray").count(), 1);
}

#[test]
fn a_large_graph_is_cut_and_says_so() {
    let mut images: Vec<Image> = (0..1_000).map(|n| image(&format!("i{n}"), &["base"])).collect();
    images.push(image("zz-stale", &["fedora"]));
    let picture = drawn(&Graph::new(images).unwrap(), &["fedora"]);
    assert_eq!(picture.matches("<g>").count(), MAX_DRAWN_IMAGES);
    assert!(picture.contains("601 more images are not drawn"));
    assert!(picture.contains("zz-stale: waiting"));
}

#[test]
fn an_empty_graph_and_a_circle_are_drawn() {
    assert!(drawn(&graph(""), &[]).ends_with("</svg>\n"));
    let picture = drawn(&graph("a < b\n b < a\n c < c"), &[]);
    assert_eq!((picture.matches("<g>").count(), picture.matches("<path").count()), (3, 3));
}

#[test]
fn a_parent_by_digest_is_named_by_its_repository() {
    let digest = format!("sha256:0123456789ab{}", "c".repeat(52));
    let mut child = image("child", &["fedora"]);
    let reference = format!("registry.example/a/long/path/of/mirrors/fedora@{digest}");
    child.parents[0].reference = reference.clone().try_into().unwrap();
    let picture = drawn(&Graph::new(vec![child]).unwrap(), &[]);
    assert!(picture.contains(">…f/mirrors/fedora@0123456789ab</text>"), "{picture}");
    assert!(picture.contains(&format!("<title>{reference}: built elsewhere</title>")), "{picture}");
}

#[test]
fn who_stands_on_itself_has_a_loop_that_is_seen() {
    let picture = drawn(&graph("me < me"), &[]);
    let path = picture.split("<path d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let numbers: Vec<i64> = path
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [x1, y1, beside, .., x2, y2] = numbers[..] else { panic!("{path}") };
    assert!(x1 == x2 && y2 - y1 >= 20 && beside - x1 >= 20, "{path}");
}

#[test]
fn a_part_keeps_what_its_images_stand_on() {
    let whole = graph("base < fedora\n app < base *tool\n tool < go\n other < app");
    let part = whole.part(|image| image.id.as_str() == "app").unwrap();
    let picture = drawn(&part, &[]);
    for (title, is_drawn) in [
        ("app: ", true),
        ("base: ", true),
        ("tool: ", true),
        ("other: ", false),
        (": built elsewhere", false),
    ] {
        assert_eq!(picture.contains(title), is_drawn, "{title}: {picture}");
    }
    assert_eq!(picture.matches("<path").count(), 2);
    assert!(whole.part(|_| false).is_none());
}
