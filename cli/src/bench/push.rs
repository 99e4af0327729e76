//! Pushes as GitHub tells of them.

/// What a delivery of a push is made of.
#[derive(Debug, Clone)]
pub(super) struct Pushes {
    repository: String,
    padding: String,
}

impl Pushes {
    /// Of one repository; bodies are filled up to about `body_bytes`.
    pub(super) fn new(repository: &str, body_bytes: usize) -> Self {
        let mut pushes = Self { repository: repository.to_owned(), padding: String::new() };
        let unpadded = pushes.body(&"0".repeat(40), &"0".repeat(40)).len();
        pushes.padding = "x".repeat(body_bytes.saturating_sub(unpadded));
        pushes
    }

    /// The body that tells of a push to `rawhide`.
    pub(super) fn body(&self, before: &str, after: &str) -> String {
        let Self { repository, padding } = self;
        format!(
            r#"{{"ref":"refs/heads/rawhide","before":"{before}","after":"{after}","forced":false,"repository":{{"full_name":"{repository}"}},"sender":{{"login":"bench"}},"commits":[{{"message":"{padding}"}}]}}"#
        )
    }
}
