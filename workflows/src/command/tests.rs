use super::*;

#[test]
fn the_first_line_that_begins_with_a_word_is_the_command() {
    for (comment, line) in [
        ("/retest", Some("/retest")),
        ("Looks good.\r\n/ok-to-test 1234567  \r\n/cancel", Some("/ok-to-test 1234567")),
        ("> /ok-to-test\nno", None),
        ("please /retest", None),
        ("  /retest", Some("/retest")),
        ("    /retest", None),
        ("/lgtm\n/assign me\n/ok-to-test\n/retest", Some("/ok-to-test")),
        ("/lgtm\n/assign me", Some("/lgtm")),
        ("````\n```\n/ok-to-test\n```\n````\n/retest", Some("/retest")),
        ("<!-- /cancel\n/cancel\n-->", None),
        ("```\n/retest\n```\n/cancel", Some("/cancel")),
        ("/usr/bin/true fails\n/etc", Some("/etc")),
        ("/", None),
        ("/Retest", Some("/Retest")),
        ("", None),
    ] {
        assert_eq!(line_of(comment), line, "{comment:?}");
    }
    assert_eq!(line_of(&format!("/retest {}", "x".repeat(MAX_LINE_BYTES))), None);
    assert_eq!(line_of(&format!("{}/retest", "\n".repeat(MAX_LINES))), None);
}

#[test]
fn commands_are_read_with_their_arguments() {
    let text = ToOwned::to_owned;
    for (line, command) in [
        ("/ok-to-test", Command::OkToTest(None)),
        (&format!("/ok-to-test {}", "AB".repeat(20)), Command::OkToTest(Some("ab".repeat(20)))),
        ("/retest", Command::Retest(None)),
        ("/Retest Layered", Command::Retest(Some(text("Layered")))),
        ("/OK-to-test", Command::OkToTest(None)),
        ("/retest layered  image", Command::Retest(Some(text("layered  image")))),
        ("/cancel", Command::Cancel),
        ("/build f43", Command::Build(text("f43"))),
    ] {
        assert_eq!(parse(line), Ok(command), "{line}");
    }
}

#[test]
fn what_is_no_command_gets_a_hint() {
    for (line, hint) in [
        ("/ok-to-tset", "did you mean `/ok-to-test`?"),
        ("/re-test", "did you mean `/retest`?"),
        ("/frobnicate", "there is `/ok-to-test`, `/retest`, `/cancel`, `/build`."),
        ("/ok-to-test main", "as `/ok-to-test` or, with all digits, `/ok-to-test COMMIT`."),
        ("/ok-to-test 1234567", "with all digits"),
        ("/ok-to-test abc", "Write it as"),
        ("/cancel now", "Write it as `/cancel`."),
        ("/build", "Write it as `/build RELEASE`."),
        ("/build f43 f44", "Write it as `/build RELEASE`."),
    ] {
        let told = parse(line).unwrap_err();
        assert!(told.contains(hint), "{line}: {told}");
        assert_eq!(line_of(&told), None, "a hint is no command: {told}");
    }
}

#[test]
fn who_may_say_what() {
    let (ok, retest, cancel, build) = (
        Command::OkToTest(None),
        Command::Retest(None),
        Command::Cancel,
        Command::Build("f43".to_owned()),
    );
    let said = |permission, is_author, runs_freely| {
        [&ok, &retest, &cancel, &build]
            .map(|command| may(command, Speaker { is_author, permission }, runs_freely).is_ok())
    };
    for permission in [Permission::None, Permission::Read] {
        assert_eq!(said(permission, false, true), [false; 4], "a stranger");
        assert_eq!(said(permission, true, false), [false, false, true, false], "the author");
        assert_eq!(said(permission, true, true), [false, true, true, false], "once approved");
    }
    for permission in [Permission::Write, Permission::Admin] {
        for is_author in [false, true] {
            assert_eq!(said(permission, is_author, false), [true; 4], "{permission:?}");
        }
    }
}

#[test]
fn a_comment_that_is_delivered_at_once_is_of_the_head_and_another_of_what_was_there() {
    let at = |second: i64| DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap();
    for (written, heard, head_heard, is_found, is_of_head) in [
        (Some(1_000), 1_000, 1_000, false, true),
        (Some(1_000), 1_030, 1_029, false, true),
        (Some(1_000), 1_031, 1_029, false, false),
        // Its clock is ahead of ours.
        (Some(1_000), 900, 899, false, true),
        // A head that was pushed between a comment and the look that found it.
        (Some(1_000), 1_020, 1_010, true, false),
        (Some(1_000), 1_020, 701, true, false),
        (Some(1_000), 9_000, 700, true, true),
        (Some(1_000), 9_000, 700, false, true),
        (Some(1_000), 9_000, 8_999, false, false),
        (None, 9_000, 8_999, false, true),
    ] {
        let written_at = written.map(at);
        let (heard_at, head_heard_at) = (at(heard), at(head_heard));
        let hearing = Hearing { written_at, is_found, heard_at, head_heard_at };
        assert_eq!(hearing.is_of_head(), is_of_head, "{hearing:?}");
    }
    let head = CommitId::parse(&"1a".repeat(20)).unwrap();
    assert!(parse(&format!("/ok-to-test {head}")).unwrap().names(&head));
    assert!(!parse(&format!("/ok-to-test {}", "2b".repeat(20))).unwrap().names(&head));
    assert!(!parse("/ok-to-test").unwrap().names(&head));
}

#[test]
fn who_may_have_what_made_again() {
    use Permission::{Admin, None as Nothing, Read, Write};
    let freely = Some(true);
    for (permission, is_author, change, expected) in [
        (Write, false, None, true),
        (Admin, false, Some(false), true),
        (Read, true, freely, true),
        (Nothing, true, freely, true),
        (Read, true, Some(false), false),
        (Read, false, freely, false),
        // What a branch runs is not the author's, whatever is said of the change.
        (Read, true, None, false),
    ] {
        let may = may_rerun(Speaker { is_author, permission }, change).is_ok();
        assert_eq!(may, expected, "{permission:?} {is_author} {change:?}");
    }
}
