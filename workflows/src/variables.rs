//! Which variables a program can be given: what the kernel would refuse, or read as something
//! else, is a mistake of whoever wrote the workflow and not of the machine that runs it.

use crate::diagnostic::quoted;

/// Longest variable, in bytes: name, `=`, value and the zero at its end. Linux takes no more
/// (`MAX_ARG_STRLEN`, 32 pages).
pub const MAX_VARIABLE_BYTES: usize = 128 * 1024;
/// Most bytes of all variables of one program: less than the quarter of the ordinary stack that
/// Linux gives them together with the arguments.
pub const MAX_ALL_BYTES: usize = 1024 * 1024;

/// Checks the variables of one program.
///
/// # Errors
/// Names the first variable that cannot be given to it, and why.
pub fn check<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), String> {
    let mut sum = 0;
    for (name, value) in all {
        // The `=` between them and the zero at the end.
        let bytes = name.len() + value.len() + 2;
        sum += bytes;
        let why = if name.is_empty() {
            "a variable has no name".to_owned()
        } else if name.contains('=') {
            format!("the name of variable {} has a `=` in it", quoted(name))
        } else if name.contains('\0') || value.contains('\0') {
            format!("variable {} has a null character", quoted(name))
        } else if bytes > MAX_VARIABLE_BYTES {
            format!(
                "variable {} has {bytes} bytes, and Linux takes no more than {MAX_VARIABLE_BYTES}; \
                 put what is long into a file",
                quoted(name)
            )
        } else {
            continue;
        };
        return Err(why);
    }
    if sum > MAX_ALL_BYTES {
        return Err(format!(
            "the variables have {sum} bytes together; at most {MAX_ALL_BYTES}: put what is long \
             into files"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_program_can_be_given_is_told() {
        let long = "x".repeat(MAX_VARIABLE_BYTES);
        for (name, value, words) in [
            ("", "x", "a variable has no name"),
            ("LD_PRELOAD=x\n", "", "the name of variable `LD_PRELOAD=x\\n` has a `=` in it"),
            ("A", "b\0c", "variable `A` has a null character"),
            ("A\0", "b", "null character"),
            ("A", &long, "Linux takes no more than 131072"),
        ] {
            let refused = check([(name, value)]).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        let just = &long[..MAX_VARIABLE_BYTES - 3];
        assert_eq!(check([("A", just), ("LD_PRELOAD", "/x.so"), ("B", "a=b\nc")]), Ok(()));
        let many = ["A", "B", "C", "D", "E", "F", "G", "H", "I"].map(|name| (name, just));
        assert!(check(many).unwrap_err().contains("bytes together"));
    }
}
