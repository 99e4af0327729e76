//! Whether one URL is below another, read so strictly that no client can read it otherwise.

/// Longest URL that is read, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// An http(s) URL in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place<'a> {
    scheme: &'a str,
    /// In lower case, with its port where one is written.
    host: String,
    /// From the first `/`, without a query.
    path: &'a str,
}

impl<'a> Place<'a> {
    /// Reads a URL.
    pub(super) fn parse(url: &'a str) -> Result<Self, String> {
        let shown = || url.chars().take(200).flat_map(char::escape_debug).collect::<String>();
        let strange = |b: u8| !b.is_ascii_graphic() || b"\"<>\\^`{|}#".contains(&b);
        if url.len() > MAX_URL_BYTES || url.bytes().any(strange) {
            return Err(format!(
                "`{}` has characters that no URL has, or a `#`, or more than {MAX_URL_BYTES} bytes",
                shown()
            ));
        }
        let split = url.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme));
        let Some((scheme, rest)) = split else {
            return Err(format!("`{}` is no http(s) URL", shown()));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, rest) = rest.split_at(end);
        if host.contains('@') {
            // Not repeated: what stands there is a password.
            return Err("a URL must not hold a user or password".to_owned());
        }
        let host_is_good = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        let path = rest.split('?').next().unwrap_or_default();
        if !host_is_good || path.split('/').any(is_dots) {
            return Err(format!("`{}` has no plain host and path", shown()));
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase(), path })
    }

    /// Whether another place is this one or below it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let rest = other.path.strip_prefix(self.path);
        let is_below = rest.is_some_and(|rest| {
            rest.is_empty()
                || self.path.is_empty()
                || self.path.ends_with('/')
                || rest.starts_with('/')
        });
        self.scheme == other.scheme && self.host == other.host && is_below
    }

    /// The last part of its path.
    pub(super) fn file_name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Whether clients take a part of a path for a step up, also when it is written in hexadecimal.
fn is_dots(part: &str) -> bool {
    let plain = part.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_decided_at_whole_parts() {
        let holds = |allowed: &str, url: &str| {
            Place::parse(allowed).unwrap().holds(&Place::parse(url).unwrap())
        };
        for (allowed, url, expected) in [
            ("https://a.example", "https://a.example/x/y", true),
            ("https://a.example/", "https://A.example/x", true),
            ("https://a.example/maven", "https://a.example/maven/x?y=/../z", true),
            ("https://a.example/maven/", "https://a.example/maven/x", true),
            ("https://a.example/maven", "https://a.example/maven2/x", false),
            ("https://a.example/maven/", "https://a.example/maven", false),
            ("https://a.example", "https://a.example.evil.example/x", false),
            ("https://a.example", "https://a.example:8443/x", false),
            ("https://a.example", "http://a.example/x", false),
        ] {
            assert_eq!(holds(allowed, url), expected, "{allowed} {url}");
        }
    }

    #[test]
    fn what_clients_might_read_otherwise_is_refused() {
        for bad in [
            "",
            "a.example/x",
            "ftp://a.example/x",
            "https://",
            "https:///x",
            "https://a.example@evil.example/x",
            "https://a.example\\@evil.example/x",
            "https://a.example/a/../b",
            "https://a.example/a/%2E%2e/b",
            "https://a.example/a/.%2E",
            "https://a.example/a#b",
            "https://a.example/a b",
            "https://a.example/\u{e9}",
            "HTTPS://a.example/x",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
        let told = Place::parse("https://u:secret@a.example/").unwrap_err();
        assert!(!told.contains("secret"), "{told}");
    }
}
