//! Options, ports and volumes, those that are taken and those that are not.

use super::*;

#[test]
fn options_that_stay_within_the_container_are_taken() {
    let text = "--memory 512m --cpus=1.5 --pids-limit 64 --shm-size 64m --hostname db \
                --ulimit nofile=1024:2048 --user 26:26 --tmpfs /run --init \
                --health-cmd \"redis-cli -h 'a b' ping\" --health-interval 1m30s \
                --health-timeout 500ms --health-retries 5 --health-start-period=2s";
    let options = ContainerOptions::parse(text).unwrap();
    assert_eq!(options.memory_bytes, Some(512 << 20));
    assert_eq!((options.cpu_millis, options.pids), (Some(1_500), Some(64)));
    assert_eq!((options.shm_bytes, options.open_files), (Some(64 << 20), Some(2_048)));
    assert_eq!(options.user.as_deref(), Some("26:26"));
    assert_eq!(options.tmpfs, ["/run"]);
    let health = &options.health;
    assert_eq!(health.command.as_deref(), Some("redis-cli -h 'a b' ping"));
    assert_eq!((health.interval_millis, health.timeout_millis), (Some(90_000), Some(500)));
    assert_eq!((health.retries, health.start_period_millis), (Some(5), Some(2_000)));
    assert!(ContainerOptions::parse("--no-healthcheck").unwrap().health.is_off);
}

#[test]
fn options_that_reach_further_are_refused_by_name() {
    for (text, word) in [
        ("--privileged", "`--privileged` is not allowed"),
        ("--network=host", "`--network` is not allowed"),
        ("-v /:/host", "`-v` is not allowed"),
        ("--memory 1g --device /dev/kvm", "`--device` is not allowed"),
        ("--memory", "needs a value"),
        ("--memory lots", "needs a size"),
        ("--shm-size 8g", "bytes at most"),
        ("--ulimit core=1", "nofile"),
        ("--health-interval 10", "needs a time"),
        ("--health-interval 99h", "needs a time"),
        ("--hostname a.b", "letters"),
        ("--tmpfs /a/../b", "absolute path"),
        ("--health-cmd 'x", "quote"),
    ] {
        let message = ContainerOptions::parse(text).unwrap_err().to_string();
        assert!(message.contains(word), "{text}: {message}");
    }
}

#[test]
fn ports_and_volumes_are_read() {
    let port = |text| PortSpec::parse(text).map(|port| (port.container, port.protocol));
    assert_eq!(port("5432"), Ok((5432, "tcp".to_owned())));
    assert_eq!(port("15432:5432"), Ok((5432, "tcp".to_owned())));
    assert_eq!(port("53/udp"), Ok((53, "udp".to_owned())));
    for wrong in ["", "0", "x", "1/icmp", "70000"] {
        assert!(port(wrong).is_err(), "{wrong}");
    }
    assert_eq!(VolumeSpec::parse("/data").unwrap().container, "/data");
    for wrong in ["/srv/cache:/cache:ro", "cache:/cache", "/a/../b", "data", ""] {
        assert!(VolumeSpec::parse(wrong).is_err(), "{wrong}");
    }
}
