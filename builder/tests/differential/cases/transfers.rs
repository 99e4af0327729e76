//! COPY and ADD beyond the simple ones. `URL` stands for a server of the test.

use super::Oracle::{BuildKit, Classic, OneDifference, RefusedHere, SameAs};
use super::{Case, case};

/// The rows.
pub(crate) const CASES: &[Case] = &[
    case("names of one file, each copied", BuildKit, "FROM BASE\nCOPY d/one d/hard /names/\n"),
    case(
        "names of one file, the later one first",
        BuildKit,
        "FROM BASE AS s\nRUN mkdir /d && echo a > /d/zz && ln /d/zz /d/aa && ln /d/zz /d/mm\n\
         FROM BASE\nCOPY --from=s /d/zz /x/\nCOPY --from=s /d /x/\nCOPY --from=s /d/* /y/\n",
    ),
    case(
        "a name of a file that another one replaces",
        BuildKit,
        "FROM BASE AS s\nRUN mkdir /1 /2 /3 && echo a > /1/n && echo b > /2/n && ln /1/n /3/zz\n\
         FROM BASE\nCOPY --from=s /1/ /2/ /3/ /x/\n",
    ),
    case("a pattern that matches nothing", BuildKit, "FROM BASE\nCOPY f nothing* /x/\n"),
    case(
        "nothing but such a pattern",
        BuildKit,
        "FROM BASE\nCOPY nothing* /x/\nRUN ls -d /x || true\n",
    ),
    case("a pattern in a directory that is not there", BuildKit, "FROM BASE\nCOPY none/* /x/\n"),
    case("rights of a program", Classic, "FROM BASE\nRUN mv /usr/bin/capable /moved\n"),
    case(
        "rights of a program that is changed",
        Classic,
        "FROM BASE\nRUN chmod 700 /usr/bin/capable\nRUN echo more >> /usr/bin/capable\n",
    ),
    case(
        "rights of a program and its owner",
        Classic,
        "FROM BASE\nRUN chown app /usr/bin/capable\n",
    ),
    case(
        "rights of a program of another stage",
        BuildKit,
        "FROM BASE AS tools\nFROM scratch\nCOPY --from=tools /usr/bin/capable /c\n",
    ),
    case(
        "rights of a program in a directory of another stage",
        BuildKit,
        "FROM BASE AS tools\nRUN mkdir /d && mv /usr/bin/capable /d/c\nFROM scratch\n\
         COPY --from=tools /d /d\n",
    ),
    case(
        "exclude",
        SameAs("FROM BASE\nCOPY d /d\nRUN rm /d/keep.md\n"),
        "FROM BASE\nCOPY --exclude=*.md d /d\n",
    ),
    case(
        "exclude a directory",
        SameAs("FROM BASE\nCOPY d /d\nRUN rm -r /d/sub\n"),
        "FROM BASE\nCOPY --exclude=sub d /d\n",
    ),
    case(
        "exclude twice, at any depth",
        SameAs("FROM BASE\nCOPY d /d\nRUN rm /d/sub/deep/four /d/two\n"),
        "FROM BASE\nCOPY --exclude=**/four --exclude=t?o d /d\n",
    ),
    case(
        "exclude with an exception",
        SameAs("FROM BASE\nCOPY d/sub/deep /d/deep\n"),
        "FROM BASE\nCOPY --exclude=* --exclude=!deep d/sub /d\n",
    ),
    case(
        "exclude files by name",
        SameAs("FROM BASE\nCOPY a.txt f /x/\n"),
        "FROM BASE\nCOPY --exclude=b* *.txt f /x/\n",
    ),
    case(
        "exclude by variable",
        SameAs("FROM BASE\nARG E=two\nCOPY d /d\nRUN rm /d/two\n"),
        "FROM BASE\nARG E=two\nADD --exclude=$E d /d\n",
    ),
    case(
        "parents",
        SameAs("FROM BASE\nCOPY d/sub/three /p/d/sub/three\n"),
        "FROM BASE\nCOPY --parents d/sub/three /p/\n",
    ),
    case(
        "parents keep their modes",
        SameAs("FROM BASE\nCOPY private /p/private\nRUN chmod 700 /p/private\n"),
        "FROM BASE\nCOPY --parents private/p /p\n",
    ),
    case(
        "parents from a pivot",
        SameAs("FROM BASE\nCOPY d/sub/three /p/sub/three\n"),
        "FROM BASE\nCOPY --parents d/./sub/three /p/\n",
    ),
    case(
        "parents of a pattern",
        SameAs("FROM BASE\nCOPY many/*.c /p/many/\nCOPY f /p/f\n"),
        "FROM BASE\nCOPY --parents many/*.c f /p/\n",
    ),
    case(
        "parents at any depth",
        SameAs("FROM BASE\nCOPY d/sub/three /p/d/sub/three\n"),
        "FROM BASE\nCOPY --parents **/three /p/\n",
    ),
    case(
        "parents of a directory",
        SameAs("FROM BASE\nCOPY d/sub /p/d/sub\n"),
        "FROM BASE\nCOPY --parents d/sub /p/\n",
    ),
    case(
        "parents from a stage",
        SameAs("FROM BASE\nRUN mkdir -p /p/s/t && echo 1 > /p/s/t/u && chown -R 5:6 /p/s\n"),
        "FROM BASE AS b\nRUN mkdir -p /s/t && echo 1 > /s/t/u && chown -R 5:6 /s\nFROM BASE\nCOPY --from=b --parents /s/t/u /p/\n",
    ),
    case(
        "parents with exclude",
        SameAs("FROM BASE\nCOPY d/sub /p/d/sub\nRUN rm -r /p/d/sub/deep\n"),
        "FROM BASE\nCOPY --parents --exclude=d/sub/deep d/sub /p/\n",
    ),
    case("link", SameAs("FROM BASE\nCOPY f /l/f\n"), "FROM BASE\nCOPY --link f /l/f\n"),
    case(
        "link with owner",
        SameAs("FROM BASE\nCOPY --chown=5:6 d /l/\n"),
        "FROM BASE\nCOPY --link --chown=5:6 d /l/\n",
    ),
    case(
        "chmod letters",
        SameAs("FROM BASE\nCOPY d/sub /d\nRUN chmod -R u=rwX,go=rX /d && chmod 755 /d\n"),
        "FROM BASE\nCOPY --chmod=u=rwX,go=rX d/sub /d\n",
    ),
    case(
        "chmod adds",
        SameAs("FROM BASE\nCOPY f /f\nRUN chmod +x /f && touch -d @1000000000 /f\n"),
        "FROM BASE\nCOPY --chmod=+x f /f\n",
    ),
    case("chmod nonsense", RefusedHere("--chmod takes"), "FROM BASE\nCOPY --chmod=9z f /f\n"),
    case(
        "chmod and chown from a stage",
        BuildKit,
        "FROM BASE AS b\nRUN mkdir /o && echo 1 > /o/a\nFROM BASE\nCOPY --from=b --chmod=640 --chown=app:extra /o /o\n",
    ),
    case("add bzip2 archive", Classic, "FROM BASE\nADD archive.tbz /a/\n"),
    case(
        "add xz archive",
        SameAs("FROM BASE\nADD archive.tar /a/\n"),
        "FROM BASE\nADD archive.txz /a/\n",
    ),
    case(
        "add zstd archive",
        SameAs("FROM BASE\nADD archive.tar /a/\n"),
        "FROM BASE\nADD archive.tzs /a/\n",
    ),
    case("add archive over files", Classic, "FROM BASE\nCOPY d /a\nADD archive.tar /a\n"),
    case("add archive to the root", Classic, "FROM BASE\nADD archive.tar /\n"),
    case("add archive and file", Classic, "FROM BASE\nADD archive.tar f /a/\n"),
    case("add archive with owner", BuildKit, "FROM BASE\nADD --chown=8:9 archive.tar /a/\n"),
    case("add odd archive", Classic, "FROM BASE\nADD odd.tar /a/\n"),
    case("add archive through links", Classic, "FROM BASE\nADD through.tar /\n"),
    case("add archive through links, BuildKit", BuildKit, "FROM BASE\nADD through.tar /\n"),
    case("add archive over files", Classic, "FROM BASE\nADD over.tar /\n"),
    case("add archive over files, BuildKit", BuildKit, "FROM BASE\nADD over.tar /\n"),
    case(
        "add archive through a link that climbs",
        Classic,
        "FROM BASE\nRUN mkdir /etc/new && rm /bin && ln -s ../../../etc/new /bin\nADD through.tar /\n",
    ),
    case(
        "add archive below a file",
        Classic,
        "FROM BASE\nRUN rm /bin && echo > /bin\nADD through.tar /\n",
    ),
    case(
        "add archive below a link to nothing",
        Classic,
        "FROM BASE\nRUN rm /bin && ln -s none /bin\nADD through.tar /\n",
    ),
    case("add archive with devices", Classic, "FROM BASE\nADD devices.tar /\n"),
    case(
        "add archive with devices before a command, BuildKit",
        BuildKit,
        "FROM BASE\nADD devices.tar /\nRUN echo > /after\n",
    ),
    case("add cut archive", Classic, "FROM BASE\nADD cut.tgz /a/\n"),
    case("add empty file", Classic, "FROM BASE\nADD empty /a/\n"),
    case(
        "add unpack false",
        SameAs("FROM BASE\nCOPY archive.tar /a/\n"),
        "FROM BASE\nADD --unpack=false archive.tar /a/\n",
    ),
    case("add chown", Classic, "FROM BASE\nADD --chown=app f /f\n"),
    case("add pattern", Classic, "FROM BASE\nADD many/*.c /c/\n"),
    case("add url", BuildKit, "FROM BASE\nADD URL/file.txt /x\n"),
    case("add url to a directory", BuildKit, "FROM BASE\nADD URL/sub/file.txt /x/\n"),
    case("add url classic", Classic, "FROM BASE\nADD URL/file.txt /x\n"),
    case(
        "add url with owner and mode",
        OneDifference("/x: ours Some(Shown(\"Regular 100755 5:6"),
        "FROM BASE\nADD --chown=5:6 --chmod=755 URL/file.txt /x\n",
    ),
    case("add url archive stays", BuildKit, "FROM BASE\nADD URL/archive.tar /x/\n"),
    case("add url and file", BuildKit, "FROM BASE\nADD f URL/file.txt /x/\n"),
    case("add url by variable", BuildKit, "FROM BASE\nARG N=file\nADD URL/${N}.txt /x\n"),
    case("add url without a name", Classic, "FROM BASE\nADD URL/ /x/\n"),
    case("add url that is not there", BuildKit, "FROM BASE\nADD URL/absent /x\n"),
    case(
        "add url with checksum",
        SameAs("FROM BASE\nADD URL/file.txt /x\n"),
        "FROM BASE\nADD --checksum=SUM URL/file.txt /x\n",
    ),
    case(
        "add url with a wrong checksum",
        Classic,
        "FROM BASE\nADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 URL/file.txt /x\n",
    ),
    case(
        "add url unpacked",
        SameAs("FROM BASE\nADD archive.tar /x/\n"),
        "FROM BASE\nADD --unpack=true URL/archive.tar /x/\n",
    ),
    case("checksum of a file", Classic, "FROM BASE\nADD --checksum=SUM f /x\n"),
    case(
        "heredoc file with mode and owner",
        SameAs(
            "FROM BASE\nRUN mkdir /h && echo hi > /h/s && chmod 750 /h/s && chown 5:6 /h /h/s\n",
        ),
        "FROM BASE\nCOPY --chmod=750 --chown=5:6 <<EOF /h/s\nhi\nEOF\n",
    ),
    case(
        "heredoc file without tabs",
        SameAs("FROM BASE\nRUN echo hi > /s && echo ho >> /s\n"),
        "FROM BASE\nCOPY <<-EOF /s\n\thi\n\t\tho\n\tEOF\n",
    ),
    case(
        "heredoc file and file",
        SameAs("FROM BASE\nCOPY f /h/\nRUN echo hi > /h/t\n"),
        "FROM BASE\nCOPY f <<t /h/\nhi\nt\n",
    ),
    case(
        "heredoc file with a variable",
        SameAs("FROM BASE\nENV V=v\nRUN echo 'v and $V' > /s\n"),
        "FROM BASE\nENV V=v\nADD <<EOF /s\n$V and \\$V\nEOF\n",
    ),
    case("copy link that climbs", Classic, "FROM BASE\nCOPY climbs /x\n"),
    case("copy directory with links", BuildKit, "FROM BASE\nCOPY d /d\nCOPY d /d2\n"),
    case("copy to a file's place", Classic, "FROM BASE\nCOPY f /var/lib/x/old\n"),
    case("copy directory to a file's place", Classic, "FROM BASE\nCOPY d /var/lib/x/old\n"),
    case(
        "copy file to a directory's place",
        Classic,
        "FROM BASE\nCOPY e/one /d\nCOPY f /var/lib\n",
    ),
    case("copy dot", Classic, "FROM scratch\nCOPY d/. /\nCMD [\"/x\"]\n"),
    case(
        "copy from a stage by name in capitals",
        Classic,
        "FROM BASE AS One\nRUN echo 1 > /1\nFROM BASE\nCOPY --from=one /1 /1\n",
    ),
    case(
        "copy pattern from a stage",
        Classic,
        "FROM BASE AS b\nRUN touch /x1 /x2 /y1\nFROM BASE\nCOPY --from=b /x* /z/\n",
    ),
    case(
        "copy links from a stage",
        BuildKit,
        "FROM BASE AS b\nRUN mkdir /o && echo 1 > /o/a && ln -s /etc/passwd /o/l && ln -s o /p\nFROM BASE\nCOPY --from=b /p/l /q/\nCOPY --from=b /p /r\n",
    ),
];
