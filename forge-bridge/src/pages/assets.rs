//! Style, script and icon, from the binary.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("../../templates/strata.css");
const SCRIPT: &str = include_str!("../../templates/live.js");
const ICON: &str = include_str!("../../templates/icon.svg");

/// Pages name the version with every asset, so what a browser keeps never grows old.
const KEEP: &str = "public, max-age=31536000, immutable";

/// Changes whenever an asset does.
pub(super) fn version() -> &'static str {
    const DIGITS: usize = 12;
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let all = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).chain_update(ICON);
        hex::encode(all.finalize()).chars().take(DIGITS).collect()
    });
    &VERSION
}

pub(super) fn style() -> MethodRouter<crate::app::AppState> {
    get(async || asset("text/css; charset=utf-8", STYLE))
}

pub(super) fn script() -> MethodRouter<crate::app::AppState> {
    get(async || asset("text/javascript; charset=utf-8", SCRIPT))
}

pub(super) fn icon() -> MethodRouter<crate::app::AppState> {
    get(async || asset("image/svg+xml", ICON))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, KEEP)], text).into_response()
}
