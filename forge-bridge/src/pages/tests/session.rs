//! Who may press the buttons of a run.

use super::*;

impl Served {
    async fn press(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let request = client.build().unwrap().post(format!("{}{path}", self.url));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("cookie", cookie).body(body).send().await.unwrap()
    }

    async fn page_with(&self, path: &str, cookie: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.url)).header("cookie", cookie);
        request.send().await.unwrap().text().await.unwrap()
    }
}

fn word(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"word\" value=\"").expect("a form");
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn a_button_wants_a_session_and_a_word_of_ours() {
    let served = Served::start().await;
    let unfinished = served.json::<Runs>("/api/v1/runs?state=running").await.runs[0].id;
    let (page, cancel) = (format!("/runs/{unfinished}"), format!("/runs/{unfinished}/cancel"));
    let stranger = served.text(&page).await;
    assert!(!stranger.contains("<button>Cancel") && stranger.contains("/sign-in?to=/runs/"));

    let wrong = served.press("/sign-in", "", &[("token", "wrong")]).await;
    assert!(wrong.headers().get("set-cookie").is_none());
    assert!(wrong.text().await.unwrap().contains("Nobody has this token"));
    let form = [("token", TOKEN), ("to", "//evil.example")];
    let entered = served.press("/sign-in", "", &form).await;
    assert_eq!(entered.headers()["location"], "/", "nobody is led elsewhere");
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    assert!(!cookie.contains(TOKEN));

    let shown = served.page_with(&page, cookie).await;
    let word = word(&shown);
    let forged = cookie.replace("strata_session=", "strata_session=0");
    for (cookie, word) in [("", word), (cookie, ""), (cookie, "00"), (forged.as_str(), word)] {
        let refused = served.press(&cancel, cookie, &[("word", word)]).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{cookie} {word}");
    }
    let done = served.press(&cancel, cookie, &[("word", word)]).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(done.headers()["location"].to_str().unwrap(), page);
    let run: RunDetail = served.json(&format!("/api/v1{page}")).await;
    assert!(run.jobs.iter().any(|job| job.cancel || job.outcome.is_some()));

    let of_others = served.press("/sign-out", cookie, &[]).await;
    assert!(of_others.headers().get("set-cookie").is_none(), "another site's form");
    let left = served.press("/sign-out", cookie, &[("word", word)]).await;
    let emptied = left.headers()["set-cookie"].to_str().unwrap();
    assert!(emptied.starts_with("strata_session=;") && emptied.contains("Max-Age=0"), "{emptied}");

    // Another token ends the sessions of the old one.
    let file = served.app.config.operator_token_file.clone().unwrap();
    std::fs::write(file, "another-token").unwrap();
    assert!(!served.page_with(&page, cookie).await.contains("name=\"word\""));
}
