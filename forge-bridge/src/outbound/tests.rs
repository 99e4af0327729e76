//! The rules, and a real server that must not be reached.

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;

use super::*;
use crate::forge::tests::serve;

fn forge(urls: &str) -> ForgeConfig {
    toml::from_str(&format!("name = \"f\"\nkind = \"forgejo\"\n{urls}")).unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn private_addresses_are_refused_however_they_are_written() {
    let reach = Reach::of(&forge("clone_url = \"https://forge.example/{repository}.git\""));
    for bad in [
        "http://127.0.0.1/x",
        "http://2130706433/x",
        "http://0x7f.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://[::ffff:a9fe:a9fe]/x",
        "http://[fd00::1]/x",
    ] {
        let refused = reach.check(&url(bad));
        assert!(matches!(refused, Err(OutboundError::Private { .. })), "{bad}: {refused:?}");
    }
    for bad in ["file:///etc/passwd", "ftp://forge.example/", "gopher://10.0.0.1/"] {
        assert!(matches!(reach.check(&url(bad)), Err(OutboundError::Scheme(_))), "{bad}");
    }
    assert_eq!(reach.check(&url("https://forge.example/x")), Ok(()));
    assert_eq!(reach.check(&url("https://140.82.121.3/x")), Ok(()));
}

#[test]
fn an_address_that_the_operator_wrote_is_meant_and_no_other() {
    let reach = Reach::of(&forge("clone_url = \"http://10.0.0.7:3000/{repository}.git\""));
    assert_eq!(reach.check(&url("http://10.0.0.7:3000/containers/httpd.git")), Ok(()));
    assert!(reach.check(&url("http://10.0.0.8/")).is_err());
    let text = reach.check(&url("http://10.0.0.8/")).unwrap_err().to_string();
    assert!(text.contains("allow_private"), "{text}");
    let all = "clone_url = \"https://forge.example/{repository}\"\nallow_private = true";
    assert_eq!(Reach::of(&forge(all)).check(&url("http://10.0.0.8/")), Ok(()));
}

#[test]
fn a_name_keeps_its_public_addresses_and_is_refused_with_none() {
    let reach = Reach::default();
    let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
    let mixed = reach.admit("a.example", [at("10.0.0.1"), at("140.82.121.3")].into_iter());
    assert_eq!(mixed, Ok(vec![at("140.82.121.3")]));
    let none = reach.admit("a.example", [at("10.0.0.1"), at("::1")].into_iter());
    assert!(matches!(none, Err(OutboundError::Private { .. })), "{none:?}");
    let many = (1..=200).map(|n| at(&format!("140.82.121.{n}")));
    assert_eq!(reach.admit("a.example", many).unwrap().len(), MAX_ADDRESSES);
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let router = Router::new().route("/", get(async || "reached"));
    let (address, _server) = serve(router).await;
    let by_name = format!("http://localhost:{}/", address.port());
    let strict = Reach::of(&forge("clone_url = \"https://forge.example/{repository}\""));
    let error = strict.client().unwrap().get(&by_name).send().await.unwrap_err();
    let mut causes = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(one) = cause {
        causes = format!("{causes} {one}");
        cause = one.source();
    }
    assert!(causes.contains("allow_private"), "{causes}");
    let meant = Reach::of(&forge("clone_url = \"http://localhost/{repository}\""));
    let answer = meant.client().unwrap().get(&by_name).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "reached");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let router = Router::new()
        .route("/from", get(async || Redirect::temporary("/to")))
        .route("/to", get(async || "reached"));
    let (address, _server) = serve(router).await;
    let client = Reach::anywhere().client().unwrap();
    let answer = client.get(format!("http://{address}/from")).send().await.unwrap();
    assert!(answer.status().is_redirection());
}
