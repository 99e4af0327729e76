use super::*;
use crate::args::Shown;

const EXAMPLE: &str = "../examples/rebuild/graph.yaml";

fn args(graph: PathBuf, stale: &[&str], svg: Option<PathBuf>) -> PlanArgs {
    let stale = stale.iter().map(|text| (*text).to_owned()).collect();
    let bridge = "http://127.0.0.1:1".parse().unwrap();
    let asking = Asking { bridge, shown: Shown { json: true } };
    PlanArgs { graph: Some(graph), stale, at: None, svg, asking }
}

fn plan(args: &PlanArgs) -> Result<(), Failure> {
    plan_file(args, args.graph.as_deref().unwrap())
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLE)
}

fn view(stale: &[&str], at: &str) -> PlanView {
    let mut file = GraphFile::parse("graph.yaml", &read(&example()).unwrap()).unwrap();
    let stale: Vec<String> = stale.iter().map(|text| (*text).to_owned()).collect();
    suppose(&mut file, &stale).unwrap();
    let at = at.parse().unwrap();
    let plan = rebuild::plan(&file.graph, &file.observed, &file.policy, at);
    super::view(&file, &plan, at, !stale.is_empty())
}

#[test]
fn a_plan_that_is_cut_says_how_much_is_left_out() {
    let file = GraphFile::parse("graph.yaml", &read(&example()).unwrap()).unwrap();
    let GraphFile { graph, policy, .. } = &file;
    let at = "2026-03-01T00:00:00Z".parse().unwrap();
    let plan = rebuild::plan(graph, &file.observed, policy, at);
    let planning = Planning { graph, policy, activity: &IDLE, plan: &plan, at };
    for (most, rows, more) in [(3, 3, 1), (1, 1, 3), (0, 0, 6), (usize::MAX, 4, 0)] {
        let view = PlanView::new(planning, Vec::new(), most, false);
        assert_eq!((view.waves.iter().flatten().count(), view.more), (rows, more), "{most}");
        assert!(view.waves.iter().all(|wave| !wave.is_empty()));
    }
}

#[test]
fn the_example_tells_what_starts_and_what_waits() {
    let view = view(&[], "2026-03-01T00:00:00Z");
    let told: Vec<_> = view
        .waves
        .iter()
        .flatten()
        .map(|p| (p.image.as_str(), p.waits.as_deref().unwrap_or("starts")))
        .collect();
    assert_eq!(
        told,
        [
            ("containers/base@f43", "starts"),
            ("containers/httpd@f43", "after containers/base@f43"),
            ("containers/php@f43", "after containers/base@f43"),
            ("containers/wiki@f43", "after containers/httpd@f43 and 1 more"),
        ]
    );
    assert_eq!(view.blocked[0].reason, "held: waits for a new maintainer");
    assert_eq!(view.unseen[0].images, 1);
    assert_eq!(view.problems, [""; 0]);
}

#[tokio::test]
async fn a_reason_that_is_too_long_is_told_before_anybody_is_asked() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: RebuildCommand,
    }
    let reason = "x".repeat(100_000);
    let bridge = ["--bridge", "http://127.0.0.1:1", "--token-file", "/nowhere"];
    let line = ["strata", "stop", "--all", "--reason", &reason];
    let line = <Line as clap::Parser>::parse_from(line.iter().chain(&bridge));
    let Err(Failure::Usage(told)) = run(&line.command).await else { panic!("it is refused") };
    assert_eq!(told, "--reason: at most 300 characters");
}

#[test]
fn a_freeze_holds_back_what_would_start() {
    let view = view(&[], "2026-12-24T18:00:00Z");
    let wait = view.waves[0][0].waits.as_deref().unwrap();
    assert!(wait.starts_with("frozen until 2027-01-04"), "{wait}");
}

#[test]
fn a_supposed_change_is_planned_with_what_was_observed() {
    let view = view(&["node:24"], "2026-03-01T00:00:00Z");
    let wiki = &view.waves[2][0];
    assert_eq!(wiki.moved[0].reference.to_string(), "docker.io/library/node:24");
    assert!(view.unseen.is_empty());
}

#[test]
fn a_supposition_about_nothing_is_a_slip() {
    for stale in ["node:25", "no such", "node@sha256:1"] {
        let ended = plan(&args(example(), &[stale], None));
        assert!(matches!(ended, Err(Failure::Usage(_))), "{stale}");
    }
}

#[test]
fn the_picture_is_written_and_faults_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let picture = directory.path().join("graph.svg");
    plan(&args(example(), &[], Some(picture.clone()))).unwrap();
    assert!(fs::read_to_string(picture).unwrap().contains("containers/wiki@f43: waiting"));

    let bad = directory.path().join("graph.yaml");
    fs::write(&bad, "images: {}\n").unwrap();
    let Err(Failure::Negative(text)) = plan(&args(bad, &[], None)) else {
        panic!("a bad file is an answer");
    };
    assert!(text.contains("graph.yaml:1:"), "{text}");

    let circle = directory.path().join("circle.yaml");
    let name = "names: [{ candidate: r.example/a:latest }]";
    let parent = "parents: [{ reference: r.example/a:latest }]";
    fs::write(&circle, format!("images:\n  - id: a\n    release: f43\n    {name}\n    {parent}\n"))
        .unwrap();
    assert!(matches!(plan(&args(circle, &[], None)), Err(Failure::No)));
}
