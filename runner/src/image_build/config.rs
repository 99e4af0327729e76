//! An image's configuration in the engine's words and in those of Dockerfiles.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models;
use serde_json::{Value, json};
use workflows::dockerfile::{HealthCheck, ImageConfig};

/// A parent's configuration as a stage starts with it.
pub(crate) fn of_engine(config: models::ImageConfig) -> ImageConfig {
    let pairs = config.env.unwrap_or_default();
    ImageConfig {
        env: pairs
            .iter()
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        cmd: config.cmd.filter(|words| !words.is_empty()),
        entrypoint: config.entrypoint.filter(|words| !words.is_empty()),
        workdir: config.working_dir.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        exposed_ports: config.exposed_ports.unwrap_or_default().into_iter().collect(),
        volumes: config.volumes.unwrap_or_default().into_iter().collect(),
        stop_signal: config.stop_signal.unwrap_or_default(),
        shell: config.shell.unwrap_or_default(),
        healthcheck: config.healthcheck.and_then(health_of_engine),
        on_build: config.on_build.unwrap_or_default(),
        ..ImageConfig::default()
    }
}

/// The `config` object of an image's configuration.
pub(crate) fn to_json(config: &ImageConfig) -> Value {
    let set = |names: &std::collections::BTreeSet<String>| -> Value {
        let empty: HashMap<&String, Value> = names.iter().map(|name| (name, json!({}))).collect();
        json!(empty)
    };
    let env: Vec<String> =
        config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut object = BTreeMap::from([
        ("Env", json!(env)),
        ("Cmd", json!(config.cmd)),
        ("Entrypoint", json!(config.entrypoint)),
        ("WorkingDir", json!(config.workdir)),
        ("User", json!(config.user)),
        ("Labels", json!(config.labels)),
    ]);
    let mut put_unless_empty = |key: &'static str, value: Value, is_empty: bool| {
        if !is_empty {
            object.insert(key, value);
        }
    };
    let ports = set(&config.exposed_ports);
    put_unless_empty("ExposedPorts", ports, config.exposed_ports.is_empty());
    put_unless_empty("Volumes", set(&config.volumes), config.volumes.is_empty());
    put_unless_empty("StopSignal", json!(config.stop_signal), config.stop_signal.is_empty());
    put_unless_empty("Shell", json!(config.shell), config.shell.is_empty());
    put_unless_empty("OnBuild", json!(config.on_build), config.on_build.is_empty());
    if let Some(check) = &config.healthcheck {
        object.insert("Healthcheck", health_to_json(check));
    }
    json!(object)
}

fn health_of_engine(health: models::HealthConfig) -> Option<HealthCheck> {
    let duration =
        |nanos: Option<i64>| Duration::from_nanos(nanos.unwrap_or(0).try_into().unwrap_or(0));
    let test = health.test.filter(|test| !test.is_empty())?;
    Some(HealthCheck {
        test,
        interval: duration(health.interval),
        timeout: duration(health.timeout),
        start_period: duration(health.start_period),
        start_interval: duration(health.start_interval),
        retries: health.retries.unwrap_or(0).try_into().unwrap_or(0),
    })
}

fn health_to_json(check: &HealthCheck) -> Value {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    json!({
        "Test": check.test,
        "Interval": nanos(check.interval),
        "Timeout": nanos(check.timeout),
        "StartPeriod": nanos(check.start_period),
        "StartInterval": nanos(check.start_interval),
        "Retries": check.retries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_the_way_through_the_engine() {
        let config = ImageConfig {
            env: vec![("A".to_owned(), "b=c".to_owned())],
            labels: BTreeMap::from([("l".to_owned(), "v".to_owned())]),
            cmd: Some(vec!["run".to_owned()]),
            workdir: "/w".to_owned(),
            exposed_ports: ["80/tcp".to_owned()].into(),
            volumes: ["/data".to_owned()].into(),
            healthcheck: Some(HealthCheck {
                test: vec!["CMD".to_owned(), "true".to_owned()],
                interval: Duration::from_secs(3),
                retries: 2,
                ..HealthCheck::default()
            }),
            ..ImageConfig::default()
        };
        let engine: models::ImageConfig = serde_json::from_value(to_json(&config)).unwrap();
        assert_eq!(of_engine(engine), config);
    }

    #[test]
    fn what_is_not_set_is_not_told() {
        let json = to_json(&ImageConfig::default());
        assert_eq!(json["Entrypoint"], Value::Null);
        assert!(json.get("Volumes").is_none() && json.get("Healthcheck").is_none());
    }
}
