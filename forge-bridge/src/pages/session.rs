//! Who looks at a page: somebody who has shown their token may press its buttons.
//!
//! Nothing is kept of it here. The cookie says who it is and until when, signed with their own
//! token, so that a token that is changed ends all sessions of its holder. Another site's form
//! cannot use it: the cookie is not sent with it (`SameSite=Strict`), and each form of ours has a
//! word in it that is signed with the same token.

use askama::Template;
use axum::Form;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::frame::{Frame, Section};
use super::{Asked, Page, PageError, html};
use crate::api::asker::Asker;
use crate::api::error::ApiError;
use crate::app::AppState;
use crate::token;

/// How long somebody stays signed in.
const SESSION: TimeDelta = TimeDelta::hours(12);
/// The cookie's name.
const NAME: &str = "strata_session";
/// Longest cookie that is looked at, in bytes; ours have less than 400.
const MAX_COOKIE_BYTES: usize = 1024;
/// Longest path to come back to, in bytes.
const MAX_PATH_BYTES: usize = 300;

/// Somebody who is signed in.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) asker: Asker,
    /// Stands in each form of a page that this session is shown.
    pub(super) word: String,
}

/// Who looks: perhaps nobody that is known.
pub(super) struct Visitor(pub(super) Option<Session>);

/// What a form that does something has: the word of its session.
#[derive(Debug, Deserialize)]
pub(super) struct Pressed {
    #[serde(default)]
    word: String,
}

impl Pressed {
    /// The word of a form that has other fields too.
    pub(super) fn with(word: &str) -> Self {
        Self { word: word.to_owned() }
    }
}

/// Proof that a button of ours was pressed by somebody who is signed in.
#[derive(Debug)]
pub(super) struct Press(pub(super) Asker);

impl FromRequestParts<AppState> for Visitor {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, PageError> {
        Ok(Self(session(app, &parts.headers).await))
    }
}

impl Visitor {
    /// What a form proves that came with this session.
    pub(super) fn pressed(self, form: &Pressed) -> Result<Press, PageError> {
        match self.0 {
            Some(session) if token::is_same(&session.word.clone().into(), &form.word) => {
                Ok(Press(session.asker))
            }
            _ => {
                Err(PageError::Refused("Sign in again, and press the button once more.".to_owned()))
            }
        }
    }
}

/// The session that a cookie stands for, if it does.
async fn session(app: &AppState, headers: &HeaderMap) -> Option<Session> {
    let mut cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookie = cookies.find_map(|all| {
        let mut pairs = all.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == NAME).map(|(_, value)| value)
    })?;
    if cookie.len() > MAX_COOKIE_BYTES {
        return None;
    }
    let (said, mac) = cookie.rsplit_once('.')?;
    let [name, until, _nonce] = said.split('.').collect::<Vec<_>>().try_into().ok()?;
    let until: i64 = until.parse().ok()?;
    if until < Utc::now().timestamp() {
        return None;
    }
    let name = String::from_utf8(hex::decode(name).ok()?).ok()?;
    let (asker, token) = Asker::named(app, &name).await?;
    let right = token::signed(&token, &format!("session {said}"))?;
    if !token::is_same(&right.into(), mac) {
        return None;
    }
    let word = token::signed(&token, &format!("form {said}"))?;
    Some(Session { asker, word })
}

/// The cookie of a new session.
async fn cookie(app: &AppState, asker: &Asker) -> Option<HeaderValue> {
    let (_, token) = Asker::named(app, asker.name()).await?;
    let until = (Utc::now() + SESSION).timestamp();
    let nonce = uuid::Uuid::new_v4().simple();
    let said = format!("{}.{until}.{nonce}", hex::encode(asker.name()));
    let mac = token::signed(&token, &format!("session {said}"))?;
    header(app, &format!("{said}.{mac}"), SESSION.num_seconds())
}

fn header(app: &AppState, value: &str, seconds: i64) -> Option<HeaderValue> {
    let secure = if app.config.public_url.starts_with("https:") { "; Secure" } else { "" };
    let text =
        format!("{NAME}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok()
}

/// Where somebody came from.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct From {
    to: String,
}

/// What somebody shows.
#[derive(Deserialize)]
pub(super) struct Shown {
    token: SecretString,
    #[serde(default)]
    to: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    to: String,
    refused: Option<&'static str>,
}

pub(super) async fn form(Asked(Query(from)): Asked<Query<From>>) -> Page {
    sign_in(&from.to, None)
}

fn sign_in(to: &str, refused: Option<&'static str>) -> Page {
    let frame = Frame::new(Section::None, Utc::now());
    html(&SignIn { frame, to: own_path(to).to_owned(), refused })
}

pub(super) async fn enter(
    State(app): State<AppState>,
    Form(shown): Form<Shown>,
) -> Result<Response, PageError> {
    let token = shown.token.expose_secret().trim();
    let asker = match Asker::of_token(&app, Some(token)).await {
        Ok(asker) => asker,
        Err(ApiError::UnknownAsker) => {
            return Ok(sign_in(&shown.to, Some("Nobody has this token."))?.into_response());
        }
        Err(ApiError::NoAsker) => {
            return Err(PageError::Refused("Nobody may act here: no token is configured.".into()));
        }
        Err(_) => return Err(PageError::Unavailable),
    };
    let cookie = cookie(&app, &asker).await.ok_or(PageError::Unavailable)?;
    tracing::info!("pages: {} signed in", asker.name());
    Ok(([(SET_COOKIE, cookie)], Redirect::to(own_path(&shown.to))).into_response())
}

pub(super) async fn leave(
    State(app): State<AppState>,
    visitor: Visitor,
    Form(form): Form<Pressed>,
) -> Result<Response, PageError> {
    visitor.pressed(&form)?;
    let cookie = header(&app, "", 0).ok_or(PageError::Unavailable)?;
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

/// A path of ours, for whatever was said: nobody is led to another site.
fn own_path(to: &str) -> &str {
    let is_own = to.len() <= MAX_PATH_BYTES
        && to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_own { to } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_led_elsewhere() {
        assert_eq!(own_path("/runs/5?x=1"), "/runs/5?x=1");
        for other in ["", "runs", "//evil.example", "https://evil.example", "/\\evil", "/a\nb"] {
            assert_eq!(own_path(other), "/", "{other:?}");
        }
    }
}
