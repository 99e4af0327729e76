//! A wire to a registry that breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Passes connections on to a server, and cuts some of them.
pub(crate) struct Wire {
    host: String,
    cuts: Arc<Mutex<Vec<Cut>>>,
    passed: Arc<AtomicUsize>,
}

/// After how many bytes in one direction a connection breaks.
#[derive(Clone, Copy)]
pub(crate) enum Cut {
    Sent(usize),
    Received(usize),
    /// It does not break then: nothing comes any more.
    Silent(usize),
}

impl Wire {
    /// Each cut breaks one connection, the first that has so much to pass.
    pub(crate) fn to(server: &str, cuts: &[Cut]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (cuts, passed) = (Arc::new(Mutex::new(cuts.to_vec())), Arc::new(AtomicUsize::new(0)));
        let (server, shared, counter) = (server.to_owned(), Arc::clone(&cuts), Arc::clone(&passed));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&server) else { return };
                for (from, to, sends) in [(&client, &server, true), (&server, &client, false)] {
                    let pair = (from.try_clone().expect("a handle"), to.try_clone().expect("one"));
                    let (cuts, passed) = (Arc::clone(&shared), Arc::clone(&counter));
                    std::thread::spawn(move || pass(&pair.0, &pair.1, sends, &cuts, &passed));
                }
            }
        });
        Self { host, cuts, passed }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether all cuts were made.
    pub(crate) fn is_spent(&self) -> bool {
        self.cuts.lock().expect("a list").is_empty()
    }

    /// Bytes that passed, in both directions.
    pub(crate) fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    sends: bool,
    cuts: &Mutex<Vec<Cut>>,
    passed: &AtomicUsize,
) {
    let (mut buffer, mut total, mut is_silent) = (vec![0; 16 * 1024], 0, false);
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        total += read;
        passed.fetch_add(read, Ordering::Relaxed);
        let mut cuts = cuts.lock().expect("a list");
        let is_due = match cuts.first() {
            Some(Cut::Sent(after)) => sends && total > *after,
            Some(Cut::Received(after) | Cut::Silent(after)) => !sends && total > *after,
            None => false,
        };
        if is_due {
            match cuts.remove(0) {
                Cut::Silent(_) => is_silent = true,
                Cut::Sent(_) | Cut::Received(_) => break,
            }
        }
        if is_silent {
            continue;
        }
        drop(cuts);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // Both ends see that it is over.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
