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
