use super::read;
use crate::dockerfile::{
    CommandLine, InstructionKind, MAX_DOCKERFILE_BYTES, MAX_INSTRUCTIONS, MountKind, parse,
    parse_trigger,
};

#[test]
fn a_file_falls_into_stages() {
    let file = read(
        "ARG V=1\nFROM r.example/go:$V AS Build\nRUN make\nfrom --platform=linux/amd64 scratch\n\
         copy --from=build --chown=1:2 --chmod=644 --link /a /b\n",
    );
    assert_eq!(file.global_args, [(1, "V".to_owned(), Some("1".to_owned()))]);
    let [build, last] = file.stages.as_slice() else { panic!("{:?}", file.stages) };
    assert_eq!((build.name.as_deref(), build.from.as_str()), (Some("build"), "r.example/go:$V"));
    assert_eq!((last.platform.as_deref(), last.line), (Some("linux/amd64"), 4));
    let InstructionKind::Copy(copy) = &last.instructions[0].kind else { panic!("{last:?}") };
    assert_eq!(copy.from.as_deref(), Some("build"));
    assert_eq!(copy.transfer.chown.as_deref(), Some("1:2"));
    assert!(copy.transfer.link && !copy.parents);
}

#[test]
fn here_documents_belong_to_their_instruction() {
    let file = read(
        "FROM scratch\nRUN <<-A cat <<'B' && true\n\ta\n\tA\nb $x\nB\nCOPY <<X <<\"Y\" /etc/\nx\nX\n\
         y\nY\nRUN echo \"<<NONE\"\nLABEL end=1\n",
    );
    let instructions = &file.stages[0].instructions;
    let InstructionKind::Run(run) = &instructions[0].kind else { panic!("{instructions:?}") };
    let bodies: Vec<_> =
        run.heredocs.iter().map(|h| (h.name.as_str(), h.content(), h.expand)).collect();
    assert_eq!(bodies, [("A", "a\n".to_owned(), true), ("B", "b $x\n".to_owned(), false)]);
    let InstructionKind::Copy(copy) = &instructions[1].kind else { panic!("{instructions:?}") };
    assert_eq!((copy.transfer.heredocs.len(), copy.transfer.sources.len()), (2, 0));
    assert_eq!((instructions[1].line, instructions[1].end_line), (7, 11));
    assert_eq!(instructions.len(), 4);
    assert_eq!(file.first_heredoc(), Some(2));
}

#[test]
fn forms_and_mounts_are_told_apart() {
    let file = read(
        "FROM x\nRUN --mount=type=cache,target=/c --mount=from=x:1,target=/x --network=none \
         [\"a\", \"b c\"]\nCMD [\"a\", 'b']\nENTRYPOINT []\n",
    );
    let kinds: Vec<_> = file.stages[0].instructions.iter().map(|i| &i.kind).collect();
    let InstructionKind::Run(run) = kinds[0] else { panic!("{kinds:?}") };
    assert_eq!(run.form, CommandLine::Exec(vec!["a".to_owned(), "b c".to_owned()]));
    assert_eq!(run.mounts[0].kind, MountKind::Cache);
    assert_eq!(run.mounts[1].from.as_deref(), Some("x:1"));
    assert_eq!(run.network.as_deref(), Some("none"));
    let shell = CommandLine::Shell("[\"a\", 'b']".to_owned());
    assert_eq!(kinds[1], &InstructionKind::Cmd(shell));
    assert_eq!(kinds[2], &InstructionKind::Entrypoint(CommandLine::Exec(Vec::new())));
}

#[test]
fn errors_name_the_line_and_the_way_out() {
    for (text, line, words) in [
        ("RUN a\nFROM x", 1, "before the first FROM"),
        ("FROM x\n\nRUM a", 3, "RUM: unknown instruction"),
        ("FROM x y", 1, "AS name"),
        ("FROM x AS 1a", 1, "cannot name a stage"),
        ("FROM x\nCOPY a", 2, "a source and a destination"),
        ("FROM x\nCOPY --frm=y a b", 2, "--frm=y"),
        ("FROM x\nCOPY --from=$Y a b", 2, "FROM image AS name"),
        ("FROM x\nRUN --mount=from=${Y} a", 2, "FROM image AS name"),
        ("FROM x\nRUN <<EOF\na\n", 2, "does not end"),
        ("FROM x\nCMD [1]", 2, "strings only"),
        ("FROM x\nONBUILD ONBUILD RUN a", 2, "another ONBUILD"),
        ("FROM x\nONBUILD FROM y", 2, "cannot be kept"),
        ("FROM x\nSHELL /bin/sh", 2, "JSON list"),
        ("FROM x\nHEALTHCHECK --interval=5 CMD a", 2, "duration"),
        ("FROM x\nENV a=1 b", 2, "name=value"),
        ("ARG A=1\n", 0, "no FROM"),
        ("# escape=x\nFROM x", 1, "escape character"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn hostile_files_are_refused_at_once() {
    assert!(parse(&"#\n".repeat(MAX_DOCKERFILE_BYTES)).is_err());
    assert!(parse(&"FROM x\n".repeat(MAX_INSTRUCTIONS + 1)).is_err());
    assert!(parse(&format!("FROM x\n{}RUN a", "ONBUILD ".repeat(100_000))).is_err());
    let nested = format!("FROM x\nCMD {}", "[".repeat(500_000));
    assert!(parse(&nested).is_ok(), "no JSON, hence a shell's text");
}

#[test]
fn a_parents_trigger_is_read_like_a_line() {
    let instruction = parse_trigger("RUN <<E\na\nE").unwrap();
    let InstructionKind::Run(run) = instruction.kind else { panic!("no RUN") };
    assert_eq!(run.heredocs[0].body, "a\n");
    assert!(parse_trigger("RUN a\nRUN b").is_err());
    let file = read("FROM x\nONBUILD RUN <<E\na\nE\n");
    let InstructionKind::OnBuild(kept) = &file.stages[0].instructions[0].kind else { panic!() };
    assert_eq!(kept, "RUN <<E\na\nE");
}
