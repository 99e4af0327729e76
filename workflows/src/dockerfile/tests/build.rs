use super::{map, read};
use crate::dockerfile::{
    ArgScope, ImageConfig, InlineScript, InstructionKind, RunCommand, ignore::Ignore, run_command,
};

/// Carries out the last stage on `parent`; returns the configuration and each RUN's command.
fn build(text: &str, parent: ImageConfig, args: &[(&str, &str)]) -> (ImageConfig, Vec<RunCommand>) {
    let file = read(text);
    let mut config = parent;
    config.begin_stage();
    let mut scope = ArgScope::new(&file, &map(args)).unwrap();
    let mut commands = Vec::new();
    for instruction in &file.last_stage().instructions {
        if let InstructionKind::Run(run) = &instruction.kind {
            commands.push(run_command(run, &config, &scope));
        }
        config.apply(instruction, &mut scope).unwrap_or_else(|error| panic!("{error}"));
    }
    (config, commands)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn instructions_shape_the_configuration() {
    let parent = ImageConfig {
        env: vec![("PATH".to_owned(), "/bin".to_owned())],
        cmd: Some(words(&["parent"])),
        workdir: "/srv".to_owned(),
        on_build: vec!["RUN x".to_owned()],
        ..ImageConfig::default()
    };
    let text = "FROM x\nENV PATH=$PATH:/own\nWORKDIR app/../lib\nWORKDIR bin\nENTRYPOINT [\"/e\"]\n\
                EXPOSE 80 53/UDP 8000-8001\nVOLUME [\"/a\", \"/b c\"]\nUSER $UID:0\nSTOPSIGNAL 9\n\
                SHELL [\"/bin/bash\", \"-ec\"]\nHEALTHCHECK --retries=2 CMD true\nONBUILD RUN y\n";
    let (config, _) = build(text, parent, &[]);
    assert_eq!(config.variable("PATH"), Some("/bin:/own"));
    assert_eq!(config.workdir, "/srv/lib/bin");
    assert_eq!((config.entrypoint, config.cmd), (Some(words(&["/e"])), None));
    let ports: Vec<_> = config.exposed_ports.into_iter().collect();
    assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
    assert_eq!(config.volumes.into_iter().collect::<Vec<_>>(), ["/a", "/b c"]);
    assert_eq!((config.user.as_str(), config.stop_signal.as_str()), (":0", "9"));
    assert_eq!(config.healthcheck.map(|check| check.test), Some(words(&["CMD-SHELL", "true"])));
    assert_eq!(config.on_build, ["RUN y"]);
}

#[test]
fn an_own_command_survives_the_entrypoint() {
    let (config, _) = build("FROM x\nCMD a b\nENTRYPOINT [\"/e\"]\n", ImageConfig::default(), &[]);
    assert_eq!(config.cmd, Some(words(&["/bin/sh", "-c", "a b"])));
}

#[test]
fn later_arguments_and_variables_win_over_earlier_ones() {
    let text = "FROM x\nARG A=1\nRUN a\nENV A=2\nRUN b\nARG A=3\nRUN c\nARG given\nRUN d\n";
    let (config, commands) =
        build(text, ImageConfig::default(), &[("given", "g"), ("NO_PROXY", "n")]);
    let value = |index: usize, name: &str| {
        let found = commands[index].env.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let seen: Vec<_> = (0..3).filter_map(|index| value(index, "A")).collect();
    assert_eq!(seen, ["1", "2", "3"]);
    assert_eq!((value(2, "given"), value(3, "given")), (None, Some("g".to_owned())));
    assert_eq!(value(0, "NO_PROXY").as_deref(), Some("n"));
    assert!(value(0, "PATH").is_some_and(|path| path.contains("/usr/bin")));
    assert_eq!(config.env, [("A".to_owned(), "2".to_owned())]);
}

#[test]
fn here_documents_run_as_text_as_script_and_in_the_shell() {
    let text = "FROM x\nSHELL [\"/bin/bash\", \"-c\"]\nRUN <<-E\n\ta $b\n\tE\nRUN <<E\n#!/bin/python\nE\n\
                RUN cat <<E >x\nc\nE\nRUN [\"d\"]\n";
    let (_, commands) = build(text, ImageConfig::default(), &[]);
    let argv: Vec<_> = commands.iter().map(|command| command.argv.clone()).collect();
    assert_eq!(argv[0], words(&["/bin/bash", "-c", "a $b\n"]));
    assert_eq!(argv[1], words(&["/bin/bash", "-c", "/dev/pipes/E"]));
    let script =
        InlineScript { path: "/dev/pipes/E".to_owned(), content: "#!/bin/python\n".to_owned() };
    assert_eq!(commands[1].script.as_ref(), Some(&script));
    assert_eq!(argv[2], words(&["/bin/bash", "-c", "cat <<E >x\nc\nE"]));
    assert_eq!(argv[3], words(&["d"]));
}

#[test]
fn files_in_the_file_expand_unless_quoted() {
    let file = read("FROM x\nENV v=\"a b\"\nCOPY <<E <<'Q' $v /d$v/\n\"$v\" \\$v\nE\n$v\nQ\n");
    let mut scope = ArgScope::new(&file, &map(&[])).unwrap();
    let mut config = ImageConfig::default();
    let instructions = &file.last_stage().instructions;
    config.apply(&instructions[0], &mut scope).unwrap();
    let InstructionKind::Copy(copy) = scope.expand(&instructions[1], &config).unwrap().kind else {
        panic!("no COPY");
    };
    let bodies: Vec<_> = copy.transfer.heredocs.iter().map(|h| h.body.as_str()).collect();
    assert_eq!(bodies, ["\"a b\" $v\n", "$v\n"]);
    assert_eq!((copy.transfer.sources, copy.transfer.dest), (words(&["a b"]), "/da b/".to_owned()));
}

#[test]
fn growth_without_end_is_refused() {
    let text = format!("FROM x\nENV a=aaaaaaaa\n{}", "ENV a=$a$a$a$a\n".repeat(40));
    let file = read(&text);
    let mut scope = ArgScope::new(&file, &map(&[])).unwrap();
    let mut config = ImageConfig::default();
    let instructions = &file.last_stage().instructions;
    let failed = instructions.iter().find_map(|i| config.apply(i, &mut scope).err()).unwrap();
    assert!(failed.message.contains("grows beyond"), "{failed}");
}

#[test]
fn ignored_files_are_those_that_moby_ignores() {
    for (patterns, path, excluded) in [
        ("*.log", "a.log", true),
        ("*.log", "d/a.log", false),
        ("**/*.log", "a.log", true),
        ("**/*.log", "d/e/a.log", true),
        ("/d", "d/e", true),
        ("d/", "d", true),
        ("d", "de", false),
        ("d/**", "d/e/f", true),
        ("d/**", "d", false),
        ("**", "a/b", true),
        ("**foo", "barfoo", true),
        ("**/foo", "barfoo", false),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("?.txt", "a.txt", true),
        ("[a-c].txt", "b.txt", true),
        ("[^a-c].txt", "b.txt", false),
        ("\\*", "*", true),
        ("a.b", "aXb", false),
        ("*\n!keep", "keep", false),
        ("*\n!d/keep", "d/keep", false),
        ("*\n!d/keep", "d/other", true),
        ("!keep\n*", "keep", true),
        ("d\n!d/keep\nd/keep/x", "d/keep/x", true),
        ("# *\n\n  a  ", "a", true),
        ("./a/../b", "b", true),
        (".", "a", false),
        ("?.txt", "é.txt", true),
        ("??", "é", false),
        ("??", "é/", false),
        ("?", "a/b", true),
        ("a?b", "a/b", false),
        ("*é", "aé", true),
        ("*é", "aè", false),
        ("[à-é]", "é", true),
        ("[^a]", "é", true),
        ("[^a]", "éé", false),
        ("?", "\n", true),
        ("a/*\n!a/*/c", "a/b/c", false),
        ("a/*\n!a/*/c\na/b", "a/b/c", true),
        ("*\n!a\na/b", "a/c/d", false),
        ("*\n!a\na/b", "a/b/d", true),
    ] {
        let ignore = Ignore::parse(patterns).unwrap();
        assert_eq!(ignore.excludes(path), excluded, "{patterns:?} {path}");
    }
    for bad in ["!", "[", "[]", "[a", "a\\", "[z-a]"] {
        assert!(Ignore::parse(bad).is_err(), "{bad}");
    }
    let long = Ignore::parse(&format!("a\n{}", "[^é]".repeat(20_000))).unwrap_err();
    assert!(long.to_string().starts_with(".dockerignore line 2: "), "{long}");
    assert!(long.to_string().ends_with("is too long"), "{long}");
}

#[test]
fn a_walk_ignores_what_its_paths_are_ignored_by() {
    let patterns = ["a", "*", "**/b", "a/*", "!a", "!a/b/c", "!**/c", "a/b", "!*/b", "b/**"];
    let paths = ["a", "a/b", "a/b/c", "b", "b/a", "b/a/c", "c", "a/b/c/a", "a/c", "a/c/b"];
    let alone = patterns.map(|line| {
        let (includes, pattern) = match line.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, line),
        };
        (includes, Ignore::parse(pattern).unwrap())
    });
    // All texts of three lines.
    for n in 0..patterns.len().pow(3) {
        let lines = [n, n / patterns.len(), n / patterns.len().pow(2)].map(|n| n % patterns.len());
        let text = lines.map(|line| patterns[line]).join("\n");
        let ignore = Ignore::parse(&text).unwrap();
        for path in paths {
            // Each line over again on the path and on all above it; the last that matches decides.
            let decided = |line: usize| {
                let (includes, alone) = &alone[line];
                let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
                let mut prefixes = ends.map(|end| &path[..end]);
                let is_match =
                    prefixes.any(|prefix| alone.below(&alone.top(), prefix).is_excluded());
                is_match.then_some(!includes)
            };
            let expected = lines.into_iter().rev().find_map(decided).unwrap_or(false);
            assert_eq!(ignore.excludes(path), expected, "{text:?} {path}");
        }
    }
}

/// One try of each pattern on each path; there were as many as directories stand above it.
#[test]
fn a_deep_path_costs_no_more_than_a_flat_one() {
    let patterns: String = (0..10).map(|n| format!("**/x{n}\n")).collect();
    let ignore = Ignore::parse(&patterns).unwrap();
    let deep = "d/".repeat(200);
    let directory = ignore.at(&deep);
    let path = format!("{deep}x");
    let start = std::time::Instant::now();
    assert!(!ignore.below(&directory, &path).is_excluded());
    let walked = start.elapsed();
    let start = std::time::Instant::now();
    assert!(!ignore.excludes(&path));
    let asked = start.elapsed();
    assert!(walked < asked / 4, "{walked:?} on a walk, {asked:?} for the path alone");
}
