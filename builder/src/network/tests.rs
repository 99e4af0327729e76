use super::*;

#[test]
fn a_space_has_a_loopback_and_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let seen = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                crate::confine::private_mounts().unwrap();
                let (namespace, reached) = Namespace::make(dir.path(), |inside| {
                    inside.add_address("10.9.8.7".parse().unwrap())?;
                    let listener = std::net::TcpListener::bind("10.9.8.7:80")?;
                    std::net::TcpStream::connect(listener.local_addr()?)?;
                    let far = "192.0.2.1:80".parse().unwrap();
                    let wait = std::time::Duration::from_secs(1);
                    Ok(std::net::TcpStream::connect_timeout(&far, wait).map_err(|e| e.kind()).err())
                })
                .unwrap();
                let devices: Vec<_> = std::fs::read_dir(namespace.sys().join("class/net"))
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name())
                    .collect();
                (devices, reached)
            })
            .join()
            .unwrap()
    });
    assert_eq!(seen.0, ["lo"]);
    assert_eq!(seen.1, Some(io::ErrorKind::NetworkUnreachable));
}

/// Answers every connection with one word; the answer is its port.
fn serve(word: &'static str) -> u16 {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::io::Write::write_all(&mut connection.unwrap(), word.as_bytes()).unwrap();
        }
    });
    port
}

/// What a command in that network hears at a place.
fn heard(address: &str) -> Result<String, io::ErrorKind> {
    let wait = std::time::Duration::from_secs(5);
    let connected = std::net::TcpStream::connect_timeout(&address.parse().unwrap(), wait);
    let mut text = String::new();
    connected
        .and_then(|mut stream| std::io::Read::read_to_string(&mut stream, &mut text))
        .map_err(|error| error.kind())?;
    Ok(text)
}

/// Whether the name server in that network knows a name.
fn knows(name: &str) -> bool {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for part in name.split('.') {
        question.push(part.len() as u8);
        question.extend(part.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    socket.send_to(&question, "127.0.0.1:53").unwrap();
    let mut answer = [0; 512];
    socket.recv(&mut answer).unwrap();
    answer[3] & 0x0f == 0
}

#[test]
fn a_list_leads_to_what_is_on_it_and_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (listed, other) = (serve("of the list"), serve("of nobody"));
    // A name that leads to the machine itself is on the list; the address that it leads to is not.
    let allowed: Vec<Place> =
        [format!("127.0.0.1:{listed}"), format!("localhost:{other}"), "10.9.8.7:80".to_owned()]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
    std::thread::scope(|scope| {
        let probing = scope.spawn(|| {
            crate::confine::private_mounts().unwrap();
            let space = Space::open(Network::Egress, &allowed, dir.path(), runtime.handle());
            let space = space.unwrap().unwrap();
            assert_eq!(space.resolver(), "nameserver 127.0.0.1\n");
            let inside = std::fs::File::open(space.path()).unwrap();
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&inside), kind)
                .unwrap();
            assert_eq!(heard(&format!("127.0.0.1:{listed}")), Ok("of the list".to_owned()));
            let refused = Err(io::ErrorKind::ConnectionRefused);
            assert_eq!(heard(&format!("127.0.0.1:{other}")), refused);
            for far in ["172.17.0.1", "169.254.169.254", "192.0.2.2", "10.0.0.1", "[2001:db8::1]"] {
                let answer = heard(&format!("{far}:{listed}"));
                assert_eq!(answer, Err(io::ErrorKind::NetworkUnreachable), "{far}");
            }
            assert!(knows("localhost") && !knows("metadata.internal"));
            let by_name = heard(&format!("127.77.0.1:{other}"));
            assert_ne!(by_name, Ok("of nobody".to_owned()), "a name must not lead to the machine");
            let [(place, why)] = &space.unreached()[..] else { panic!("one place is told") };
            assert_eq!(place.to_string(), format!("localhost:{other}"));
            assert!(why.contains("this machine"), "{why}");
            assert_eq!(space.unreached(), [], "and told once");
        });
        probing.join().unwrap();
    });
}
