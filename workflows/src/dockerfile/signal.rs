//! Signals by which a container is stopped.

/// Names without `SIG`, as Linux has them.
const NAMES: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP", "SYS",
    "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2", "VTALRM", "WINCH",
    "XCPU", "XFSZ",
];
/// The highest number.
const MAX_NUMBER: u32 = 64;
/// How far a real-time signal may be from the first or the last one.
const MAX_OFFSET: u32 = 15;

/// Whether a container engine knows the signal: by number, or by name with or without `SIG`.
pub(super) fn is_known(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=MAX_NUMBER).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
    let is_real_time = offset
        .and_then(|offset| offset.parse::<u32>().ok())
        .is_some_and(|offset| (1..=MAX_OFFSET).contains(&offset));
    is_real_time || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn signals_have_names_and_numbers() {
        for known in ["9", "64", "SIGTERM", "term", "RTMIN", "SIGRTMIN+3", "rtmax-14", "XFSZ"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["", "0", "65", "-1", "SIGNOSUCH", "RTMIN+16", "RTMIN+", "SIG"] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }
}
