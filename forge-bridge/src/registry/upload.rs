//! Putting small blobs into a registry.

use bytes::Bytes;
use reqwest::header::LOCATION;
use reqwest::{Method, Url};
use workflows::image::{Digest, Reference};

use super::host::Access;
use super::{Registries, RegistryError, digest_of_bytes, malformed};

/// What a blob is sent as; what it is, its manifest says.
const BLOB_TYPE: &str = "application/octet-stream";

impl Registries {
    /// Puts a blob into the repository of `into`, unless it is there; the answer is its digest.
    pub(super) async fn put_blob(
        &self,
        into: &Reference,
        bytes: Bytes,
    ) -> Result<Digest, RegistryError> {
        let digest = digest_of_bytes(&bytes);
        let path = format!("/v2/{}/blobs/{digest}", into.repository);
        match self.ask(into, Method::HEAD, &path, Access::Pull, None).await {
            Ok(_) => return Ok(digest),
            Err(RegistryError::Unknown { .. }) => {}
            Err(error) => return Err(error),
        }
        let path = format!("/v2/{}/blobs/uploads/", into.repository);
        let begun = self.ask(into, Method::POST, &path, Access::Push, None).await?;
        let location = begun.header(LOCATION.as_str()).unwrap_or_default();
        let path = upload_path(&into.registry, location, &digest)
            .ok_or_else(|| malformed(into, format!("it takes uploads at `{location}`")))?;
        let body = Some((BLOB_TYPE, bytes));
        self.ask(into, Method::PUT, &path, Access::Push, body).await?;
        Ok(digest)
    }
}

/// Where an upload ends, on the same host: the registry's credentials go nowhere else.
fn upload_path(host: &str, location: &str, digest: &Digest) -> Option<String> {
    let base = Url::parse(&format!("https://{host}/")).ok()?;
    let mut url = base.join(location).ok()?;
    // A registry behind a proxy may name itself by the scheme that the proxy speaks to it.
    let same_name = url.host_str() == base.host_str();
    if !same_name || location.is_empty() || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    Some(format!("{}?{}", url.path(), url.query()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_stays_with_its_registry() {
        let digest = digest_of_bytes(b"");
        let path = |location| upload_path("r.example:5000", location, &digest);
        let ending = format!("digest=sha256%3A{}", digest.as_str().trim_start_matches("sha256:"));
        let relative = path("/v2/a/blobs/uploads/1?_state=x").unwrap();
        assert_eq!(relative, format!("/v2/a/blobs/uploads/1?_state=x&{ending}"));
        let absolute = path("http://r.example:5000/v2/a/blobs/uploads/1").unwrap();
        assert_eq!(absolute, format!("/v2/a/blobs/uploads/1?{ending}"));
        for elsewhere in
            ["", "https://evil.example/v2/a", "//evil.example/v2/a", "ftp://r.example/a"]
        {
            assert_eq!(path(elsewhere), None, "{elsewhere}");
        }
    }
}
