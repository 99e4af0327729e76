//! Pages of the program's file that a role has in memory and does not use.
//!
//! The system brings sixteen of them for each one that is used, and a start uses much that is never
//! used again: after it most of the program is in memory, and counts as the role's. Given back, a
//! page that is needed comes again by itself, as a rule from the system's own memory.

use std::fs;

/// Gives them back, all of them: who needs one has it again within microseconds.
pub(crate) fn give_back() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for Mapping { start, length } in of_program(&maps, give_back as *const () as usize) {
        #[expect(unsafe_code, reason = "what is in memory is told by a call of C")]
        // SAFETY: of a private mapping of a file that was never written to, the system makes every
        // page again from the file. Code is such a mapping, and so is what lies before it in the
        // file; what the loader writes to lies behind.
        unsafe {
            libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// A range of addresses.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    length: usize,
}

/// The mappings of code and of constants of the file whose code has this address; `maps` is in the
/// form of `/proc/PID/maps`.
fn of_program(maps: &str, address: usize) -> Vec<Mapping> {
    let lines: Vec<Line<'_>> = maps.lines().filter_map(Line::read).collect();
    let code = lines.iter().find(|line| line.rights == "r-xp" && line.holds(address));
    let is_whole = |line: &&Line<'_>| match code {
        // Before the code lie constants; behind it what is written to before it is sealed.
        Some(code) if line.file == code.file => {
            line.rights == "r-xp" || (line.rights == "r--p" && line.end <= code.start)
        }
        _ => false,
    };
    let mapping = |line: &Line<'_>| Mapping { start: line.start, length: line.end - line.start };
    lines.iter().filter(is_whole).map(mapping).collect()
}

struct Line<'a> {
    start: usize,
    end: usize,
    rights: &'a str,
    /// Device and inode.
    file: (&'a str, &'a str),
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let (rights, _offset) = (words.next()?, words.next()?);
        let file = (words.next()?, words.next().filter(|inode| *inode != "0")?);
        Some(Self { start: address(start)?, end: address(end)?, rights, file })
    }

    fn holds(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
1000-3000 r--p 00000000 fe:00 77 /usr/bin/strata
3000-9000 r-xp 00002000 fe:00 77 /usr/bin/strata
9000-a000 r--p 00008000 fe:00 77 /usr/bin/strata
a000-b000 rw-p 00009000 fe:00 77 /usr/bin/strata
b000-c000 rw-p 00000000 00:00 0 [heap]
d000-e000 r-xp 00000000 fe:00 78 /usr/lib/libc.so.6
";

    #[test]
    fn only_what_nobody_writes_is_given_back() {
        let given = [(0x1000, 0x2000), (0x3000, 0x6000)];
        let given = given.map(|(start, length)| Mapping { start, length });
        assert_eq!(of_program(MAPS, 0x4567), given);
        for nowhere in [0x1500, 0xa500, 0xb500, 0xffff] {
            assert_eq!(of_program(MAPS, nowhere), [], "{nowhere:x}");
        }
    }

    #[test]
    fn a_program_goes_on_without_its_pages() {
        give_back();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!of_program(&maps, give_back as *const () as usize).is_empty());
    }
}
