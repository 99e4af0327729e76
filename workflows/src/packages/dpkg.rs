//! dpkg's `status`: paragraphs of fields, one for each package.

use super::{DatabaseError, MAX_FIELD_BYTES, Packages};
use crate::evidence::{Package, PackageKind};

/// States of a package of which no file is there.
const ABSENT: [&str; 2] = ["not-installed", "config-files"];

/// The fields of one paragraph that are of interest.
#[derive(Default)]
struct Paragraph {
    line: usize,
    name: String,
    version: String,
    architecture: String,
    source: Option<String>,
    is_absent: bool,
}

/// Reads a `status` file, or a file of one package, into `packages`.
///
/// # Errors
/// When a package lacks its name or version, with the paragraph's line; when a field is longer
/// than [`MAX_FIELD_BYTES`] or there are too many packages.
pub fn parse(file: &[u8], packages: &mut Packages) -> Result<(), DatabaseError> {
    let mut paragraph = Paragraph::default();
    for (number, line) in (1..).zip(file.split(|&byte| byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            std::mem::take(&mut paragraph).finish(packages)?;
        } else if !line[0].is_ascii_whitespace() {
            if paragraph.line == 0 {
                paragraph.line = number;
            }
            paragraph.field(line, number)?;
        }
    }
    paragraph.finish(packages)
}

impl Paragraph {
    fn field(&mut self, line: &[u8], number: usize) -> Result<(), DatabaseError> {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return Err(DatabaseError::new(format!("line {number} is no field")));
        };
        let name = line[..colon].to_ascii_lowercase();
        let is_wanted: [&[u8]; 5] = [b"package", b"version", b"architecture", b"source", b"status"];
        if !is_wanted.contains(&name.as_slice()) {
            return Ok(());
        }
        let value = String::from_utf8_lossy(&line[colon + 1..]).trim().to_owned();
        if value.len() > MAX_FIELD_BYTES {
            let why = format!("line {number} is longer than {MAX_FIELD_BYTES} bytes");
            return Err(DatabaseError::new(why));
        }
        match name.as_slice() {
            b"package" => self.name = value,
            b"version" => self.version = value,
            b"architecture" => self.architecture = value,
            b"source" => self.source = Some(value).filter(|source| !source.is_empty()),
            // What is wanted, whether it is broken, and what it is; images without dpkg say
            // nothing.
            _ => self.is_absent = value.split(' ').nth(2).is_some_and(|is| ABSENT.contains(&is)),
        }
        Ok(())
    }

    fn finish(self, packages: &mut Packages) -> Result<(), DatabaseError> {
        if self.line == 0 || self.is_absent {
            return Ok(());
        }
        if self.name.is_empty() || self.version.is_empty() {
            let why = format!("the package at line {} has no name or no version", self.line);
            return Err(DatabaseError::new(why));
        }
        packages.add(Package {
            kind: PackageKind::Deb,
            name: self.name,
            epoch: None,
            version: self.version,
            release: String::new(),
            architecture: self.architecture,
            source: self.source,
            license: None,
            sigmd5: None,
            signature: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Package>, DatabaseError> {
        let mut packages = Packages::default();
        parse(text.as_bytes(), &mut packages)?;
        Ok(packages.into_sorted())
    }

    #[test]
    fn a_debian_status_file_is_read() {
        // As dpkg of Debian 12 wrote it, shortened.
        let text = "Package: libc6\nStatus: install ok installed\nPriority: optional\n\
                    Section: libs\nArchitecture: amd64\nMulti-Arch: same\nSource: glibc\n\
                    Version: 2.36-9+deb12u9\nDepends: libgcc-s1\nConffiles:\n \
                    /etc/ld.so.conf.d/x.conf d4e7\nDescription: GNU C Library\n Text: with a colon\n \
                    .\n\n\
                    Package: bash\nStatus: install ok unpacked\nArchitecture: amd64\n\
                    Source: bash (5.2)\nVersion: 1:5.2.15-2+b7\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\n\
                    Version: 1\n";
        let packages = read(text).unwrap();
        let shown: Vec<_> = packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.source.as_deref().unwrap_or("-")))
            .collect();
        assert_eq!(
            shown,
            [("bash", "1:5.2.15-2+b7", "bash (5.2)"), ("libc6", "2.36-9+deb12u9", "glibc")]
        );
        assert_eq!((packages[1].architecture.as_str(), packages[1].epoch), ("amd64", None));
    }

    #[test]
    fn a_package_of_an_image_without_dpkg_has_no_status() {
        let packages = read("Package: base-files\nVersion: 12.4\nArchitecture: amd64\n").unwrap();
        assert_eq!((packages.len(), packages[0].name.as_str()), (1, "base-files"));
    }

    #[test]
    fn what_is_no_status_file_is_told_by_line() {
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read("\n\n \n").unwrap(), []);
        assert!(read("\n\nPackage: x\n").unwrap_err().to_string().contains("at line 3"));
        assert!(read("\0\u{1}garbage").unwrap_err().to_string().contains("line 1 is no field"));
        let long = format!("Package: {}\n", "x".repeat(MAX_FIELD_BYTES + 1));
        assert!(read(&long).unwrap_err().to_string().contains("longer than"));
    }
}
