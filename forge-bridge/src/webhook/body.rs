//! The body: where its JSON is, and whether it is JSON.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::decode::DecodeError;

/// Whether a content type is that of an HTML form.
pub(crate) fn is_form(content_type: &str) -> bool {
    const FORM: &str = "application/x-www-form-urlencoded";
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(FORM)
}

/// The JSON text of a body as received.
pub(crate) fn json_text(is_form: bool, body: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    if !is_form {
        return Ok(Cow::Borrowed(body));
    }
    let payload = form_urlencoded::parse(body).find(|(name, _)| name == "payload");
    match payload.ok_or(DecodeError::NoPayload)? {
        (_, Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        (_, Cow::Owned(text)) => Ok(Cow::Owned(text.into_bytes())),
    }
}

/// Makes sure that a body is JSON, without building anything from it.
pub(crate) fn check(is_form: bool, body: &[u8]) -> Result<(), DecodeError> {
    let text = json_text(is_form, body)?;
    serde_json::from_slice::<IgnoredAny>(&text).map(drop).map_err(DecodeError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_json_in_payload() {
        assert!(is_form("application/x-www-form-urlencoded; charset=utf-8"));
        assert!(!is_form("application/json"));
        let text = json_text(true, b"a=b&payload=%7B%22ref%22%3A+1%7D").unwrap();
        assert_eq!(text.as_ref(), br#"{"ref": 1}"#);
        assert!(matches!(json_text(true, b"{}"), Err(DecodeError::NoPayload)));
    }

    #[test]
    fn depth_and_rubbish_are_survived() {
        let deep = "[".repeat(100_000);
        assert!(check(false, deep.as_bytes()).is_err());
        let deep = format!("{deep}{}", "]".repeat(100_000));
        assert!(check(false, deep.as_bytes()).is_ok());
        assert!(check(false, b"").is_err());
        assert!(check(false, b"{} {}").is_err());
        assert!(check(false, b" {} ").is_ok());
        assert!(check(false, b"null").is_ok());
    }
}
