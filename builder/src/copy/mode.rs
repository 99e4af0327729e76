//! `--chmod`: octal digits, or the letters of `chmod`.

/// Permissions with setuid, setgid and sticky bits.
const ALL: u32 = 0o7777;
/// The bits of each of user, group and others, by the letter.
const WHO: [(char, u32); 4] = [('u', 0o4700), ('g', 0o2070), ('o', 0o1007), ('a', 0o7777)];

/// What `--chmod` does to a file's permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chmod {
    /// They become these.
    Octal(u32),
    /// They change, one clause after the other.
    Symbolic(Vec<Clause>),
}

/// `u+x` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    who: u32,
    action: char,
    permissions: u32,
    /// `X`: the right to execute where somebody has it already, and on directories.
    execute_where_it_is: bool,
}

impl Chmod {
    /// Reads `755` or `u=rwX,go=rX`; the error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "--chmod takes octal digits such as 755, or letters such as u=rwX, not `{text}`"
            )
        };
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= ALL);
            return mode.map(Self::Octal).ok_or_else(wrong);
        }
        let clauses: Option<Vec<Vec<Clause>>> = text.split(',').map(clauses).collect();
        clauses.map(|all| Self::Symbolic(all.concat())).ok_or_else(wrong)
    }

    /// The permissions of a file that had these.
    pub(crate) fn of(&self, mode: u32, is_dir: bool) -> u32 {
        let clauses = match self {
            // Who writes digits says all: a setuid bit that nobody wrote does not stay. Of a
            // directory the special bits say who may do what in it; as with BuildKit and GNU
            // chmod they stay.
            Self::Octal(new) => return if is_dir { (mode & 0o7000) | new } else { *new },
            Self::Symbolic(clauses) => clauses,
        };
        clauses.iter().fold(mode, |mode, clause| {
            let may_execute = clause.execute_where_it_is && (is_dir || mode & 0o111 != 0);
            let execute = if may_execute { 0o111 } else { 0 };
            let bits = (clause.permissions | execute) & clause.who;
            match clause.action {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => (mode & !(clause.who & 0o777)) | bits,
            }
        })
    }
}

/// The clauses of one part between commas: `go-w+x` is two.
fn clauses(part: &str) -> Option<Vec<Clause>> {
    let start = part.find(['+', '-', '='])?;
    let mut who = 0;
    for letter in part[..start].chars() {
        who |= WHO.iter().find(|(known, _)| *known == letter)?.1;
    }
    if who == 0 {
        who = ALL;
    }
    let mut clauses: Vec<Clause> = Vec::new();
    for letter in part[start..].chars() {
        if matches!(letter, '+' | '-' | '=') {
            let (permissions, execute_where_it_is) = (0, false);
            clauses.push(Clause { who, action: letter, permissions, execute_where_it_is });
            continue;
        }
        let clause = clauses.last_mut()?;
        match letter {
            'r' => clause.permissions |= 0o444,
            'w' => clause.permissions |= 0o222,
            'x' => clause.permissions |= 0o111,
            'X' => clause.execute_where_it_is = true,
            's' => clause.permissions |= 0o6000,
            't' => clause.permissions |= 0o1000,
            _ => return None,
        }
    }
    Some(clauses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_those_of_chmod() {
        for (text, mode, is_dir, expected) in [
            ("755", 0o644, false, 0o755),
            ("700", 0o1777, true, 0o1700),
            ("0755", 0o6711, false, 0o755),
            ("2755", 0o4711, false, 0o2755),
            ("4755", 0o644, false, 0o4755),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o664, false, 0o444),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("go-w+x", 0o666, false, 0o655),
            ("u+s", 0o755, false, 0o4755),
            ("o=", 0o777, false, 0o770),
        ] {
            assert_eq!(Chmod::parse(text).unwrap().of(mode, is_dir), expected, "{text} {mode:o}");
        }
        for bad in ["9", "77777", "u", "q+x", "u+z", "", "x", "u=r,"] {
            assert!(Chmod::parse(bad).is_err(), "{bad}");
        }
    }
}
