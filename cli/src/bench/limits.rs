//! `strata bench limits`: what this machine could do at best, to read the other figures by.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use forge_bridge::webhook::signature::sign;
use secrecy::SecretString;

use super::figures::Figure;

/// How long each limit is measured.
const TIME: Duration = Duration::from_secs(2);
/// Size of what is signed and written: that of a usual delivery.
const BODY_BYTES: usize = 8192;

/// One thread, one thing after the other.
pub(super) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let measured = tokio::task::spawn_blocking(|| {
        Ok(vec![
            Figure::new("limit: signatures of 8 KiB, one thread", signatures(), "/s"),
            Figure::new("limit: durable writes of 8 KiB, one by one", durable_writes()?, "/s"),
        ])
    });
    measured.await.context("the measurement broke")?
}

fn signatures() -> f64 {
    let secret = SecretString::from("secret");
    let body = [b'x'; BODY_BYTES];
    let begun = Instant::now();
    let mut count = 0.0;
    while begun.elapsed() < TIME {
        std::hint::black_box(sign(&secret, &body));
        count += 1.0;
    }
    count / begun.elapsed().as_secs_f64()
}

fn durable_writes() -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile().context("cannot make a file")?;
    let begun = Instant::now();
    let mut count = 0.0;
    while begun.elapsed() < TIME {
        file.write_all(&[b'x'; BODY_BYTES]).context("cannot write")?;
        file.sync_data().context("cannot flush")?;
        count += 1.0;
    }
    Ok(count / begun.elapsed().as_secs_f64())
}
