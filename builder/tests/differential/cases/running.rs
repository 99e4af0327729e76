//! What commands leave in a layer.

use super::Oracle::{BuildKit, Classic};
use super::{Case, case};

/// The rows.
pub(crate) const CASES: &[Case] = &[
    case("change a mode only", Classic, "FROM BASE\nRUN chmod 600 /var/lib/x/old\n"),
    case("change an owner only", Classic, "FROM BASE\nRUN chown app /var/lib/x/old\n"),
    case("set a time", Classic, "FROM BASE\nRUN touch -d @1000000000 /t /var/lib/x/old\n"),
    case("add to a file", Classic, "FROM BASE\nRUN echo more >> /var/lib/x/old\n"),
    case(
        "move a directory with files",
        Classic,
        "FROM BASE\nRUN mv /var/lib/x /x && echo n > /x/new\n",
    ),
    case(
        "directory becomes a link",
        Classic,
        "FROM BASE\nRUN rm -r /var/lib/x && ln -s /tmp /var/lib/x\n",
    ),
    case(
        "link becomes a directory",
        Classic,
        "FROM BASE\nRUN rm /var/x && mkdir /var/x && echo 1 > /var/x/1\n",
    ),
    case(
        "remove and make again",
        Classic,
        "FROM BASE\nRUN rm -r /var/lib/x\nRUN mkdir /var/lib/x && echo 2 > /var/lib/x/2\n",
    ),
    case(
        "remove what a copy brought",
        Classic,
        "FROM BASE\nCOPY d /d\nRUN rm -r /d/sub /d/one\nCOPY d/sub /d/sub\n",
    ),
    case("directory emptied", Classic, "FROM BASE\nRUN rm /var/lib/x/*\n"),
    case(
        "hard links over steps",
        Classic,
        "FROM BASE\nRUN echo 1 > /a && ln /a /b\nRUN echo 2 >> /a\n",
    ),
    case(
        "hard link in another directory",
        Classic,
        "FROM BASE\nRUN mkdir /q && echo 1 > /q/a && ln /q/a /b && rm /q/a\n",
    ),
    case(
        "setgid directory",
        Classic,
        "FROM BASE\nRUN mkdir /g && chown 0:7 /g && chmod 2775 /g && touch /g/f && mkdir /g/d\n",
    ),
    case(
        "many small files",
        Classic,
        "FROM BASE\nRUN mkdir /m && for a in 1 2 3 4 5 6 7 8 9; do for b in 1 2 3 4 5 6 7 8 9; do echo $a$b > /m/$a$b; done; done\n",
    ),
    case(
        "long names",
        Classic,
        "FROM BASE\nRUN n=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa && mkdir -p /$n/$n && echo 1 > /$n/$n/$n$n && ln -s /$n/$n/$n$n /$n/l\n",
    ),
    case(
        "strange names",
        Classic,
        "FROM BASE\nRUN mkdir '/a b' && touch '/a b/c\"d' '/a b/-e' '/a b/é' '/a b/*'\n",
    ),
    case(
        "hole in a file",
        Classic,
        "FROM BASE\nRUN dd if=/dev/zero of=/h bs=1 count=1 seek=100000\n",
    ),
    case(
        "what devices are there",
        Classic,
        "FROM BASE\nRUN echo x > /dev/null && cat /dev/null > /n && test -c /dev/zero && test -c /dev/urandom && test -d /dev/shm && test -L /dev/stdin && echo all > /d\n",
    ),
    case(
        "loopback of its own",
        Classic,
        "FROM BASE\nRUN ip addr show lo | grep -q 127.0.0.1 && echo lo > /l\n",
    ),
    case("first process", Classic, "FROM BASE\nRUN echo $$ > /p\n"),
    case(
        "variables of the shell",
        Classic,
        "FROM BASE\nRUN env | grep -v -e HOSTNAME -e SHLVL -e _= -e PWD > /e\n",
    ),
    case(
        "variables of somebody",
        Classic,
        "FROM BASE\nUSER app\nRUN env | grep -v -e HOSTNAME -e SHLVL -e _= -e PWD > /tmp/e\n",
    ),
    case(
        "home of a number",
        Classic,
        "FROM BASE\nUSER 4242\nRUN echo $HOME > /tmp/h && id -u > /tmp/u && id -g > /tmp/g\n",
    ),
    case("input is empty", Classic, "FROM BASE\nRUN cat > /i\n"),
    case("exit code", Classic, "FROM BASE\nRUN exit 3\n"),
    case("name of the machine", BuildKit, "FROM BASE\nRUN echo h > /etc/hostname\n"),
    case("ends by a signal", Classic, "FROM BASE\nRUN kill -9 $$\n"),
    case("background is gone", Classic, "FROM BASE\nRUN (sleep 1000 &) ; echo started > /s\n"),
    case(
        "four steps",
        Classic,
        "FROM BASE\nRUN echo 1 > /1\nRUN mv /1 /2\nRUN echo 2 >> /2\nRUN cat /2 > /3 && rm /2\n",
    ),
    case("same step twice", Classic, "FROM BASE\nRUN echo 1 > /1\nRUN echo 1 > /1\n"),
    case(
        "copy, run, copy",
        Classic,
        "FROM BASE\nCOPY f /w/f\nRUN echo 1 >> /w/f && chmod 600 /w/f\nCOPY a.txt /w/f\nCOPY d /w/d\nRUN mv /w/d /w/e\n",
    ),
];
