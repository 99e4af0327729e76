//! Image configurations: from a parent's JSON to what instructions change, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use workflows::dockerfile::{DEFAULT_PATH, HealthCheck, ImageConfig};
use workflows::image::Digest;

/// What docker's own builders leave in a configuration about the machine of the build.
const LEFT_BY_DOCKER: [&str; 5] =
    ["container", "container_config", "docker_version", "id", "parent"];

/// A line of an image's history.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) text: String,
    pub(crate) has_layer: bool,
}

/// A parent's configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inherited {
    /// All of it, for what instructions do not speak of.
    pub(crate) raw: Map<String, Value>,
    /// What instructions speak of.
    pub(crate) config: ImageConfig,
    /// The layers' identities.
    pub(crate) diff_ids: Vec<Digest>,
}

/// Reads a parent's configuration, refusing that of another platform than this machine's; the
/// error is a sentence.
pub(crate) fn read(bytes: &[u8]) -> Result<Inherited, String> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| format!("no image configuration: {e}"))?;
    let Value::Object(raw) = value else {
        return Err("no image configuration: it is no object".to_owned());
    };
    check_platform(&raw)?;
    let ids = raw.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).cloned();
    let diff_ids = serde_json::from_value(ids.unwrap_or(Value::Array(Vec::new())))
        .map_err(|e| format!("the configuration's layers: {e}"))?;
    let inner = raw.get("config").unwrap_or(&Value::Null);
    let mut env: Vec<(String, String)> = strings(inner, "Env")
        .iter()
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // As docker does: later instructions add to it.
    if !env.iter().any(|(name, _)| name == "PATH") {
        env.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    }
    let config = ImageConfig {
        env,
        labels: labels(inner),
        cmd: list(inner, "Cmd"),
        entrypoint: list(inner, "Entrypoint"),
        workdir: text(inner, "WorkingDir"),
        user: text(inner, "User"),
        exposed_ports: keys(inner, "ExposedPorts"),
        volumes: keys(inner, "Volumes"),
        stop_signal: text(inner, "StopSignal"),
        shell: strings(inner, "Shell"),
        healthcheck: health(inner),
        on_build: strings(inner, "OnBuild"),
        author: raw.get("author").and_then(Value::as_str).unwrap_or_default().to_owned(),
        cmd_is_own: false,
    };
    Ok(Inherited { raw, config, diff_ids })
}

/// What is built on an image runs on this machine and says that it is for it. An image that does
/// not say what it is for, as old ones do not, is taken.
fn check_platform(raw: &Map<String, Value>) -> Result<(), String> {
    let own = crate::registry::architecture();
    let said = |name: &str, own: &str| {
        let said = raw.get(name).and_then(Value::as_str).filter(|said| !said.is_empty());
        said.unwrap_or(own).to_owned()
    };
    let (os, architecture) = (said("os", "linux"), said("architecture", own));
    if os == "linux" && architecture == own {
        return Ok(());
    }
    Err(format!("the image is for {os}/{architecture}, and this machine builds for linux/{own}"))
}

/// Writes the configuration of an image, the same bytes for the same image.
pub(crate) fn write(
    inherited: &Inherited,
    config: &ImageConfig,
    diff_ids: &[Digest],
    steps: &[Step],
    created: &str,
) -> Vec<u8> {
    let mut raw = inherited.raw.clone();
    for name in LEFT_BY_DOCKER {
        raw.remove(name);
    }
    let mut inner = match raw.remove("config") {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    inner.remove("Image");
    let set_of = |names: &BTreeSet<String>| {
        Value::Object(names.iter().map(|name| (name.clone(), json!({}))).collect())
    };
    let env: Vec<String> =
        config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let fields = [
        ("Env", json!(env)),
        ("Labels", json!(config.labels)),
        ("Cmd", json!(config.cmd)),
        ("Entrypoint", json!(config.entrypoint)),
        ("WorkingDir", json!(config.workdir)),
        ("User", json!(config.user)),
        ("ExposedPorts", set_of(&config.exposed_ports)),
        ("Volumes", set_of(&config.volumes)),
        ("StopSignal", json!(config.stop_signal)),
        ("Shell", json!(config.shell)),
        ("Healthcheck", config.healthcheck.as_ref().map_or(Value::Null, health_json)),
        ("OnBuild", json!(config.on_build)),
    ];
    for (name, value) in fields {
        set(&mut inner, name, value);
    }
    set(&mut raw, "author", json!(config.author));
    raw.insert("config".to_owned(), Value::Object(inner));
    raw.insert("created".to_owned(), json!(created));
    raw.insert("architecture".to_owned(), json!(crate::registry::architecture()));
    raw.insert("os".to_owned(), json!("linux"));
    raw.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": diff_ids}));
    let mut history = match raw.remove("history") {
        Some(Value::Array(history)) => history,
        _ => Vec::new(),
    };
    history.extend(steps.iter().map(|step| {
        let mut line = json!({"created": created, "created_by": step.text, "comment": "strata"});
        if !step.has_layer {
            line["empty_layer"] = json!(true);
        }
        line
    }));
    raw.insert("history".to_owned(), Value::Array(history));
    // A map of strings and values is always JSON.
    serde_json::to_vec(&Value::Object(raw)).unwrap_or_default()
}

/// Sets a field, or takes it away when it says nothing.
fn set(object: &mut Map<String, Value>, name: &str, value: Value) {
    let is_empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if is_empty {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value);
    }
}

fn text(inner: &Value, name: &str) -> String {
    inner.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(inner: &Value, name: &str) -> Option<Vec<String>> {
    Some(strings(inner, name)).filter(|list| !list.is_empty())
}

fn strings(inner: &Value, name: &str) -> Vec<String> {
    let values = inner.get(name).and_then(Value::as_array).into_iter().flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

fn keys(inner: &Value, name: &str) -> BTreeSet<String> {
    let map = inner.get(name).and_then(Value::as_object);
    map.into_iter().flat_map(Map::keys).cloned().collect()
}

fn labels(inner: &Value) -> BTreeMap<String, String> {
    let map = inner.get("Labels").and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn health(inner: &Value) -> Option<HealthCheck> {
    let check = inner.get("Healthcheck").filter(|check| check.is_object())?;
    let time = |name| Duration::from_nanos(check.get(name).and_then(Value::as_u64).unwrap_or(0));
    Some(HealthCheck {
        test: strings(check, "Test"),
        interval: time("Interval"),
        timeout: time("Timeout"),
        start_period: time("StartPeriod"),
        start_interval: time("StartInterval"),
        retries: check
            .get("Retries")
            .and_then(Value::as_u64)
            .and_then(|retries| u32::try_from(retries).ok())
            .unwrap_or(0),
    })
}

fn health_json(check: &HealthCheck) -> Value {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut object = Map::new();
    set(&mut object, "Test", json!(check.test));
    for (name, number) in [
        ("Interval", nanos(check.interval)),
        ("Timeout", nanos(check.timeout)),
        ("StartPeriod", nanos(check.start_period)),
        ("StartInterval", nanos(check.start_interval)),
        ("Retries", u64::from(check.retries)),
    ] {
        if number > 0 {
            object.insert(name.to_owned(), json!(number));
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_reading_and_writing() {
        let text = br#"{"os":"linux","container":"left","x":1,
            "config":{"Env":["A=b=c"],"Labels":{"l":"v"},"Cmd":["c"],"Entrypoint":["e"],
            "WorkingDir":"/w","User":"u","ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},
            "StopSignal":"9","Shell":["s"],"OnBuild":["RUN x"],"Domainname":"kept",
            "Healthcheck":{"Test":["CMD","t"],"Interval":1000000,"Retries":2}},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"old"}]}"#;
        let inherited = read(text).unwrap();
        let step = Step { text: "LABEL a=b".to_owned(), has_layer: false };
        let bytes = write(&inherited, &inherited.config, &[], &[step], "1970-01-01T00:00:00Z");
        assert_eq!(read(&bytes).unwrap().config, inherited.config);
        let path = ("PATH".to_owned(), DEFAULT_PATH.to_owned());
        assert_eq!(inherited.config.env, [("A".to_owned(), "b=c".to_owned()), path]);
        let own = read(br#"{"config":{"Env":["PATH=/own"]}}"#).unwrap().config.env;
        assert_eq!(own, [("PATH".to_owned(), "/own".to_owned())]);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&value["x"], &value["container"]), (&json!(1), &Value::Null));
        assert_eq!(value["config"]["Domainname"], json!("kept"));
        assert_eq!(value["history"][1]["empty_layer"], json!(true));
    }

    #[test]
    fn an_image_for_another_platform_is_no_parent() {
        for other in [r#"{"architecture":"s390x"}"#, r#"{"os":"windows"}"#] {
            let why = read(other.as_bytes()).unwrap_err();
            assert!(why.contains("this machine builds for linux/"), "{why}");
        }
    }

    #[test]
    fn sparse_configurations_are_read() {
        for sparse in ["{}", r#"{"config":null}"#, r#"{"config":{"Env":null,"Labels":null}}"#] {
            let mut config = read(sparse.as_bytes()).unwrap().config;
            config.env.clear();
            assert_eq!(config, ImageConfig::default());
        }
        assert!(read(b"[]").is_err());
        assert!(read(br#"{"rootfs":{"diff_ids":["x"]}}"#).is_err());
    }
}
