//! What runs beside a job: a container for each of its `services`, in a network of the job's own.
//!
//! They begin before the first step and are healthy by then, or the job ends and shows what they
//! said. They go with everything else of the attempt, found by their labels.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HealthStatusEnum, HostConfig,
    HostConfigLogConfig, NetworkCreateRequest, NetworkingConfig, ResourcesUlimits,
};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use workflows::expression::{Budget, Context};
use workflows::job::{ContainerOptions, HealthCheck, Limits, Network, PortSpec, ServiceSpec};

use crate::engine::{pinned_name, sandbox_fault, status_of, words_of};
use crate::environment;
use crate::execute::Execution;
use crate::log::Printed;
use crate::sandbox::confinement;
use crate::steps::no_healthcheck;
use crate::stop::Stop;

/// How long services may take until they are healthy; a database that fills itself takes minutes.
const START_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How often their health is looked at; the engine checks it at the pace of the service.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long a service without a health check must have run to count as started.
const SETTLE: Duration = Duration::from_millis(300);
/// Lines of a service's output that are shown when something went wrong.
const SHOWN_LINES: usize = 50;
/// Most output of a service that the engine keeps.
const KEPT_LOG: &str = "1m";
/// The option of a network that gives its bridge on the machine no address.
const NO_ADDRESS: &str = "com.docker.network.bridge.inhibit_ipv4";
/// Billionths of a second in a thousandth: the engine counts in the former.
const NANO_PER_MILLI: i64 = 1_000_000;

/// The name of the job's own network; `None` for a job that needs none.
pub(crate) fn network_of(execution: &Execution<'_>) -> Option<String> {
    let has_services = !execution.lease.spec.services.is_empty();
    has_services.then(|| execution.names.container("network"))
}

/// What `job` tells of them.
pub(crate) fn context(execution: &Execution<'_>) -> Json {
    let Some(network) = network_of(execution) else { return json!({}) };
    let service = |service: &ServiceSpec| {
        // They are reached by name, at the port that they listen on.
        let port =
            |port: &PortSpec| (port.container.to_string(), Json::from(port.container.to_string()));
        let ports: serde_json::Map<String, Json> = service.ports.iter().map(port).collect();
        let id = execution.names.service(&service.name);
        (service.name.clone(), json!({"id": id, "network": network, "ports": ports}))
    };
    Json::Object(execution.lease.spec.services.iter().map(service).collect())
}

/// Starts all services of a job and waits until they are healthy.
pub(crate) async fn start(execution: &Execution<'_>, context: &Context) -> Result<(), Stop> {
    let Some(network) = network_of(execution) else { return Ok(()) };
    let spec = &execution.lease.spec;
    if spec.network == Network::Egress {
        return Err(Stop::failure(
            "the release grants the network `egress`, which a job with services cannot have: \
             take the services out, or ask for another network",
        ));
    }
    make_network(execution, &network).await?;
    let started = async {
        for service in &spec.services {
            start_one(execution, service, &network, context).await?;
        }
        let waits = spec.services.iter().map(|service| healthy(execution, service));
        futures_util::future::try_join_all(waits).await.map(drop)
    };
    match tokio::time::timeout(START_TIMEOUT, started).await {
        Ok(ended) => ended,
        Err(_) => {
            show_logs(execution).await;
            let seconds = START_TIMEOUT.as_secs();
            Err(Stop::failure(format!("the services are not healthy after {seconds} s")))
        }
    }
}

/// Shows the end of what each service said.
pub(crate) async fn show_logs(execution: &Execution<'_>) {
    for service in &execution.lease.spec.services {
        let name = execution.names.service(&service.name);
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&SHOWN_LINES.to_string())
            .build();
        let mut lines = execution.engine.logs(&name, Some(options));
        execution.log.line(&format!("##[group]Service {}", service.name));
        let mut printed = Printed::new(execution.log);
        while let Some(Ok(piece)) = lines.next().await {
            printed.push(&piece);
        }
        drop(printed);
        execution.log.line("##[endgroup]");
    }
}

async fn make_network(execution: &Execution<'_>, name: &str) -> Result<(), Stop> {
    let labels = execution.names.labels();
    let request = network_request(name, execution.lease.spec.network, labels);
    match execution.engine.create_network(request.clone()).await {
        Ok(_) => Ok(()),
        // 409: left by an attempt whose runner was killed.
        Err(error) if status_of(&error) == Some(409) => {
            let fault = sandbox_fault("replace the network of the services");
            execution.engine.remove_network(name).await.map_err(&fault)?;
            execution.engine.create_network(request).await.map(drop).map_err(fault)
        }
        Err(error) => Err(sandbox_fault("make the network of the services")(error)),
    }
}

/// Nothing beyond it, unless the release grants a network. An internal network of the engine still
/// has an address of the machine, at which whatever listens there would be reached: it gets none.
fn network_request(
    name: &str,
    granted: Network,
    labels: HashMap<String, String>,
) -> NetworkCreateRequest {
    let is_closed = granted != Network::Bridge;
    let no_address = || HashMap::from([(NO_ADDRESS.to_owned(), "true".to_owned())]);
    NetworkCreateRequest {
        name: name.to_owned(),
        internal: Some(is_closed),
        options: is_closed.then(no_address),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    }
}

async fn start_one(
    execution: &Execution<'_>,
    service: &ServiceSpec,
    network: &str,
    context: &Context,
) -> Result<(), Stop> {
    let what = format!("start service `{}`", service.name);
    let spec = &execution.lease.spec;
    let aliases = EndpointSettings {
        aliases: Some(vec![service.name.clone()]),
        ..EndpointSettings::default()
    };
    let body = ContainerCreateBody {
        image: Some(pinned_name(&service.image)),
        env: Some(env(service, context)?),
        entrypoint: service.entrypoint.clone(),
        cmd: service.command.clone(),
        labels: Some(execution.names.labels()),
        healthcheck: health_config(&service.options.health),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), aliases)])),
        }),
        host_config: Some(HostConfig {
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), KEPT_LOG.to_owned()),
                    ("max-file".to_owned(), "1".to_owned()),
                ])),
            }),
            ..host_config(&spec.limits, spec.network, Some(network.to_owned()), &service.options)
        }),
        ..own(&service.options)
    };
    let name = execution.names.service(&service.name);
    let fault = sandbox_fault(&what);
    let id = execution.engine.create(&name, body).await.map_err(&fault)?;
    match execution.engine.start_container(&id, None).await {
        Ok(()) => Ok(()),
        // 400: what it should run cannot be executed.
        Err(error) if status_of(&error) == Some(400) => {
            Err(Stop::failure(format!("cannot {what}: {}", words_of(&error))))
        }
        Err(error) => Err(fault(error)),
    }
}

fn env(service: &ServiceSpec, context: &Context) -> Result<Vec<String>, Stop> {
    let mut env = service.env.clone();
    let mut budget = Budget::default();
    for (name, template) in &service.env_templates {
        let value = template.text(context, &mut budget).map_err(|error| {
            let (line, service) = (template.at.line, &service.name);
            Stop::failure(format!("line {line}: in `env`.{name} of service `{service}`: {error}"))
        })?;
        env.insert(name.clone(), value);
    }
    environment::listed(&env).map_err(|stop| match stop {
        Stop::Failure(why) => Stop::Failure(format!("service `{}`: {why}", service.name)),
        stop => stop,
    })
}

/// Waits until a service is healthy; without a health check, until it has run for a moment.
async fn healthy(execution: &Execution<'_>, service: &ServiceSpec) -> Result<(), Stop> {
    let name = execution.names.service(&service.name);
    let began = tokio::time::Instant::now();
    loop {
        let fault = sandbox_fault("look at a service");
        let seen = execution.engine.inspect_container(&name, None).await.map_err(fault)?;
        let state = seen.state.unwrap_or_default();
        let why = match state.health.and_then(|health| health.status) {
            _ if state.running != Some(true) => {
                Some(format!("ended with status {}", state.exit_code.unwrap_or_default()))
            }
            Some(HealthStatusEnum::HEALTHY) => return told_healthy(execution, service),
            Some(HealthStatusEnum::UNHEALTHY) => Some("is not healthy".to_owned()),
            Some(HealthStatusEnum::STARTING) => None,
            Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => {
                if began.elapsed() >= SETTLE {
                    return told_healthy(execution, service);
                }
                None
            }
        };
        if let Some(why) = why {
            show_logs(execution).await;
            return Err(Stop::failure(format!("service `{}` {why}", service.name)));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn told_healthy(execution: &Execution<'_>, service: &ServiceSpec) -> Result<(), Stop> {
    execution.log.line(&format!("Strata: service `{}` runs", service.name));
    Ok(())
}

/// What of the options stands beside the confinement.
pub(crate) fn own(options: &ContainerOptions) -> ContainerCreateBody {
    let volumes = options.volumes.iter().map(|volume| volume.container.clone());
    ContainerCreateBody {
        hostname: options.hostname.clone(),
        user: options.user.clone(),
        volumes: Some(volumes.collect()),
        ..ContainerCreateBody::default()
    }
}

/// The confinement of a container with options: what it asks for, and never more than the job has.
pub(crate) fn host_config(
    granted: &Limits,
    network: Network,
    own_network: Option<String>,
    options: &ContainerOptions,
) -> HostConfig {
    let limits = Limits {
        memory_bytes: options.memory_bytes.unwrap_or(u64::MAX).min(granted.memory_bytes),
        cpu_millis: options.cpu_millis.unwrap_or(u32::MAX).min(granted.cpu_millis),
        pids: options.pids.unwrap_or(u32::MAX).min(granted.pids),
        ..granted.clone()
    };
    let mut host = confinement(&limits, network, &[]);
    if own_network.is_some() {
        host.network_mode = own_network;
    }
    if let Some(bytes) = options.shm_bytes {
        let bytes = bytes.min(limits.memory_bytes);
        host.shm_size = Some(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    if let Some(files) = options.open_files {
        let files = ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: Some(files),
            hard: Some(files),
        };
        host.ulimits.get_or_insert_default().push(files);
    }
    let in_memory = options.tmpfs.iter().map(|path| (path.clone(), "nosuid,nodev".to_owned()));
    host.tmpfs = (!options.tmpfs.is_empty()).then(|| in_memory.collect());
    host
}

/// The health check as the engine reads it; `None` leaves the image's own.
fn health_config(health: &HealthCheck) -> Option<HealthConfig> {
    if health.is_off {
        return Some(no_healthcheck());
    }
    let nanos =
        |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(NANO_PER_MILLI);
    let retries = health.retries.map(i64::from);
    let config = HealthConfig {
        test: health.command.as_ref().map(|command| vec!["CMD-SHELL".to_owned(), command.clone()]),
        interval: health.interval_millis.map(nanos),
        timeout: health.timeout_millis.map(nanos),
        start_period: health.start_period_millis.map(nanos),
        retries,
        ..HealthConfig::default()
    };
    (config != HealthConfig::default()).then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_never_give_more_than_the_job_has() {
        let text = "--memory 8g --cpus 0.5 --shm-size 1g --ulimit nofile=2048 --tmpfs /run";
        let options = ContainerOptions::parse(text).unwrap();
        let limits = Limits { memory_bytes: 1 << 30, ..Limits::default() };
        let host = host_config(&limits, Network::None, Some("net".to_owned()), &options);
        assert_eq!(host.memory, Some(1 << 30));
        assert_eq!(host.nano_cpus, Some(500_000_000));
        assert_eq!(host.network_mode.as_deref(), Some("net"));
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.binds, None);
        let names: Vec<_> = host.ulimits.unwrap().into_iter().filter_map(|one| one.name).collect();
        assert_eq!(names, ["core", "nofile"]);
    }

    #[test]
    fn a_network_that_no_release_granted_reaches_not_even_the_machine() {
        let request = network_request("net", Network::None, HashMap::new());
        assert_eq!(request.internal, Some(true));
        assert_eq!(request.options.unwrap()[NO_ADDRESS], "true");
        let request = network_request("net", Network::Bridge, HashMap::new());
        assert_eq!((request.internal, request.options), (Some(false), None));
    }

    #[test]
    fn a_health_check_is_what_was_asked_for_or_the_images_own() {
        assert_eq!(health_config(&HealthCheck::default()), None);
        let options = ContainerOptions::parse("--health-cmd 'redis-cli ping' --health-interval 1s");
        let health = health_config(&options.unwrap().health).unwrap();
        assert_eq!(health.test.unwrap(), ["CMD-SHELL", "redis-cli ping"]);
        assert_eq!(health.interval, Some(1_000_000_000));
        let off = ContainerOptions::parse("--no-healthcheck").unwrap();
        assert_eq!(health_config(&off.health).unwrap().test.unwrap(), ["NONE"]);
    }
}
