use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use workflows::image::Reference;

use super::*;
use crate::registry::Registries;

#[test]
fn a_range_tells_its_last_byte() {
    assert_eq!(last_of("0-1023"), Some(1023));
    assert_eq!(last_of("bytes=0-7"), Some(7));
    for bad in ["", "5-7", "0-", "0-x", "7"] {
        assert_eq!(last_of(bad), None, "{bad}");
    }
}

/// A registry as the distribution specification has it, which keeps what has arrived of an upload
/// and breaks connections.
#[derive(Default)]
struct Model {
    /// After how many bytes of a body each connection that sends one breaks.
    cuts: Vec<usize>,
    /// Whether it forgets what it has when a connection breaks.
    forgets: bool,
    /// What it has of the upload.
    has: Vec<u8>,
    is_whole: bool,
    /// Uploads that were begun.
    begun: usize,
    /// Bytes of bodies, those that came twice counted twice.
    received: usize,
}

fn serve(model: Arc<Mutex<Model>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let model = Arc::clone(&model);
            std::thread::spawn(move || while answer(stream.as_ref().unwrap(), &model).is_some() {});
        }
    });
    host
}

/// One request; `None` when the connection is over.
fn answer(stream: &TcpStream, model: &Mutex<Model>) -> Option<()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&length| length > 0)?;
    let (mut length, mut from) = (0, 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(": ") {
            None => break,
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("content-range", value)) => {
                from = value.split_once('-').unwrap().0.parse().unwrap();
            }
            Some(_) => {}
        }
    }
    let (method, path) = line.split_once(' ').unwrap();
    let mut model = model.lock().unwrap();
    let answer = match method {
        "HEAD" if model.is_whole => "200 OK\r\ncontent-length: 0".to_owned(),
        "HEAD" => "404 Not Found\r\ncontent-length: 0".to_owned(),
        "POST" => {
            model.begun += 1;
            model.has.clear();
            located("202 Accepted", 0)
        }
        "PATCH" if from != model.has.len() => "416 Wrong\r\ncontent-length: 0".to_owned(),
        "PATCH" => {
            let cut = if model.cuts.is_empty() { length } else { model.cuts.remove(0) };
            let mut body = vec![0; cut.min(length)];
            reader.get_mut().read_exact(&mut body).ok()?;
            model.received += body.len();
            model.has.extend(body);
            if cut < length {
                if model.forgets {
                    model.has.clear();
                }
                let _ = stream.shutdown(Shutdown::Both);
                return None;
            }
            located("202 Accepted", model.has.len())
        }
        "GET" if model.has.is_empty() => "404 Not Found\r\ncontent-length: 0".to_owned(),
        "GET" => located("204 No Content", model.has.len()),
        "PUT" => {
            let expected = path.split("digest=").nth(1).unwrap().split(' ').next().unwrap();
            model.is_whole = crate::digest::of(&model.has).as_str() == expected;
            if model.is_whole { "201 Created" } else { "400 Bad" }.to_owned()
                + "\r\ncontent-length: 0"
        }
        other => panic!("{other}"),
    };
    let mut stream = stream;
    stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).ok()
}

fn located(status: &str, has: usize) -> String {
    let last = has.saturating_sub(1);
    let length = if status.starts_with("204") { "" } else { "content-length: 0\r\n" };
    format!("{status}\r\n{length}location: /v2/x/blobs/uploads/1\r\nrange: 0-{last}")
}

/// Sends a blob of some megabytes; tells how it ended, and what the registry saw.
fn pushed(model: Model) -> (Result<(), RegistryError>, Model) {
    let blob: Vec<u8> = (0..2 * RESUMABLE_FROM as u32 / 4).flat_map(u32::to_le_bytes).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &blob).unwrap();
    let model = Arc::new(Mutex::new(model));
    let host = serve(Arc::clone(&model));
    let registries = Registries::new(Vec::new()).unwrap();
    let target = Reference::parse(&format!("{host}/x"), "").unwrap();
    let pusher = Pusher::new(&registries, &target);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = runtime.block_on(pusher.file(&crate::digest::of(&blob), file.path()));
    let model = std::mem::take(&mut *model.lock().unwrap());
    (done, model)
}

const LENGTH: usize = 2 * RESUMABLE_FROM as usize;

#[test]
fn what_has_arrived_is_not_sent_again() {
    let cuts = vec![LENGTH / 4, LENGTH / 4, 1000, LENGTH / 3];
    let (done, model) = pushed(Model { cuts, ..Model::default() });
    done.unwrap();
    assert!(model.is_whole);
    assert_eq!((model.begun, model.received), (1, LENGTH));
}

#[test]
fn a_registry_that_forgets_gets_it_from_the_beginning_and_not_for_ever() {
    let forgetful = |cuts| pushed(Model { cuts, forgets: true, ..Model::default() });
    let (done, model) = forgetful(vec![LENGTH / 2]);
    done.unwrap();
    assert_eq!((model.begun, model.received), (2, LENGTH * 3 / 2));
    let (done, model) = forgetful(vec![LENGTH / 2; 50]);
    assert!(matches!(done, Err(RegistryError::Unavailable { .. })), "{done:?}");
    assert_eq!(model.begun, ATTEMPTS as usize);
}
