//! Pages as manual readers get them.

use super::*;

const FACTS: HelpFacts<'static> =
    HelpFacts { name: "fedora/httpd", maintainer: "Ada <ada@example.org>", date: "2026-01-02" };

#[test]
fn a_page_has_the_parts_of_its_file() {
    let markdown = "# NAME\nhttpd - a *web* **server** with `code`\nin two lines\n\n\
                    ## Usage\n\n1. first\n2. second\n   - inner\n\n\
                    ```\nrun -d \\\n\n.x\n```\n\n\
                    See [the site](https://x.example) and <https://y.example>.\n<b>no</b> html\n";
    let page = man_page(markdown, &FACTS).unwrap();
    let expected = ".TH fedora/httpd 1 2026-01-02\n.SH\nNAME\n.PP\n\
                    httpd \\- a \\fIweb\\fR \\fBserver\\fR with \\fBcode\\fR in two lines\n\
                    .SS\nUsage\n.IP 1. 4\nfirst\n.IP 2. 4\nsecond\n.RS 4\n.IP \\(bu 4\ninner\n.RE\n\
                    .PP\n.RS 4\n.EX\nrun \\-d \\\\\n \n\\&.x\n.EE\n.RE\n.PP\n\
                    See the site <https://x.example> and https://y.example. no html\n\
                    .SH AUTHOR\nAda <ada@example.org>\n";
    assert_eq!(page, expected);
}

#[test]
fn the_file_may_say_its_own_title() {
    let page = man_page("% HTTPD(1) manual\n% Bob\n% May 2026\n\ntext\n", &FACTS).unwrap();
    assert!(page.starts_with(".TH HTTPD 1 \"May 2026\"\n"), "{page}");
    assert!(page.ends_with("text\n.SH AUTHOR\nBob\n"), "{page}");
}

#[test]
fn an_empty_file_is_no_page() {
    assert_eq!(man_page("", &FACTS), None);
    assert_eq!(man_page(" \n\n", &FACTS), None);
}

#[test]
fn nothing_in_it_becomes_a_macro() {
    let facts = HelpFacts { name: "a\"b\n.so /etc/passwd\\", ..FACTS };
    let hostile = "% \"x\" \\*(.so\n.so /etc/passwd\n\n'so x\n\n# .so y\n\n- .so z\n\n    .so w\n\
                   \n**.so** \\(bu &#10;.so q\n";
    for page in [man_page(hostile, &facts).unwrap(), man_page("x", &facts).unwrap()] {
        let macros = page.lines().filter(|line| line.starts_with(['.', '\'']));
        for line in macros {
            assert!(!line.starts_with(".so") && !line.starts_with('\''), "{line} in {page}");
        }
    }
}
