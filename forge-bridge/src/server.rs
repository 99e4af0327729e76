//! Puts the parts together: the server and its loops, from start to drain.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use futures_util::FutureExt;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::{AppState, MAX_FOLLOWERS};
use crate::attach::Attacher;
use crate::config::{Config, ConfigError, read_secret};
use crate::connections;
use crate::expiry::Expiry;
use crate::forge::Forge;
use crate::forge_check::Checker;
use crate::intake::{Intake, Planner};
use crate::key_keeper::KeyKeeper;
use crate::level;
use crate::logs::Logs;
use crate::loops::Loops;
use crate::pinner::Pinner;
use crate::promotion::Promotion;
use crate::reaper::Reaper;
use crate::rebuilds;
use crate::rebuilds::watch::Watch;
use crate::rebuilds::world::Worlds;
use crate::registry::Registries;
use crate::reporter::Reporter;
use crate::scheduler::Scheduler;
use crate::secrets;
use crate::sources::Sources;
use crate::speaker::{Pace, Speaker};
use crate::store::Store;
use crate::sweeper::Sweeper;
use crate::wakes::Wakes;
use crate::webhook;
use crate::webhook::decoder::Decoder;
use crate::webhook::inbox::{Inbox, Writer};
use crate::webhook::receive::Source;
use crate::webhook::wanted::Wanted;

/// Runs the bridge until `shutdown`, then drains: no new request is taken, what runs is finished.
/// The state directory is there, and no other bridge's meanwhile.
///
/// # Errors
/// What keeps it from starting: the state directory, the database, a secret file, the address. And
/// what broke: a loop or the server that ends before it should.
pub async fn serve(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    // What breaks here ends this bridge, and nothing else of who called it.
    let shutdown = shutdown.child_token();
    let config = Arc::new(config);
    config.check_files()?;
    let (parts, starters) = Parts::open(Arc::clone(&config), shutdown.clone()).await?;
    let router = parts.router(starters.inbox)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, "bridge listens on {}", config.listen);

    let mut loops = Loops::default();
    // Ends when the server has dropped the last inbox, with the last delivery on disk.
    loops.spawn("inbox", starters.writer.run());
    loops.spawn("reporter", starters.reporter.run(shutdown.clone()));
    if config.sweep.enabled {
        let sweeper = Arc::new(parts.sweeper());
        loops.spawn("sweeper", Arc::clone(&sweeper).run(shutdown.clone()));
        loops.spawn("discovery", sweeper.discover(shutdown.clone()));
    }
    loops.spawn("key keeper", Arc::clone(&parts.keys).run(shutdown.clone()));
    loops.spawn("expiry", parts.expiry().run(shutdown.clone()));
    parts.spawn_loops(&mut loops, &shutdown);
    loops.spawn("server", connections::serve(listener, router, shutdown.clone()));
    let served = loops.run(&shutdown).await;
    parts.app.store.close().await;
    served
}

/// Everything that lives as long as the bridge.
struct Parts {
    app: AppState,
    planner: Planner,
    registries: Arc<Registries>,
    forges: Arc<HashMap<String, Forge>>,
    keys: Arc<KeyKeeper>,
    wanted: Arc<Wanted>,
}

/// Parts that are given away once, at the start.
struct Starters {
    inbox: Inbox,
    writer: Writer,
    reporter: Reporter,
}

impl Parts {
    async fn open(
        config: Arc<Config>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<(Self, Starters)> {
        let store = Store::open(&config.state_dir.join("strata.db")).await?;
        store.plan_anew().await?;
        store.give_leases_time(chrono::Utc::now()).await?;
        let vault = secrets::open_vault(&store, &config).await?;
        rebuilds::watch::bring_forward(&store, &config).await?;
        let wakes = Wakes::default();
        let clone_tokens = Arc::new(clone_tokens(&config)?);
        let forges =
            config.forges.iter().map(|forge| Ok((forge.name.clone(), Forge::open(forge)?)));
        let forges: HashMap<String, Forge> = forges.collect::<Result<_, ConfigError>>()?;
        let reporter = Reporter::new(
            store.clone(),
            forges.clone(),
            &config.public_url,
            Arc::clone(&wakes.reporter),
        );
        let forges = Arc::new(forges);
        let sources = Arc::new(Sources::new(Arc::clone(&config), Arc::clone(&clone_tokens)));
        let wanted = Arc::new(Wanted::default());
        let keys = KeyKeeper::new(Arc::clone(&config), Arc::clone(&forges), Arc::clone(&wanted));
        let keys = Arc::new(keys);
        let checker = Checker {
            config: Arc::clone(&config),
            store: store.clone(),
            forges: Arc::clone(&forges),
            sources: Arc::clone(&sources),
            keys: Arc::clone(&keys),
        };
        let app = AppState {
            logs: Logs::open(&config.state_dir)?,
            metrics: crate::metrics::install()?,
            worlds: Worlds::new(store.clone(), Arc::clone(&config)),
            store: store.clone(),
            wakes: wakes.clone(),
            vault: Arc::new(vault),
            checker: Arc::new(checker),
            clone_tokens,
            instance: instance_name(&config.state_dir)?,
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            shutdown,
            config: Arc::clone(&config),
        };
        let (inbox, writer) = webhook::inbox::inbox(store, Arc::clone(&wakes.decoder));
        let parts = Self {
            planner: Planner {
                sources,
                config: Arc::clone(&config),
                variables: Some(app.store.clone()),
            },
            registries: Arc::new(Registries::new(&config.registries)?),
            forges,
            keys,
            wanted,
            app,
        };
        Ok((parts, Starters { inbox, writer, reporter }))
    }

    fn sweeper(&self) -> Sweeper {
        Sweeper {
            config: self.app.config.clone(),
            store: self.app.store.clone(),
            sources: self.planner.sources.clone(),
            forges: Arc::clone(&self.forges),
            keys: Arc::clone(&self.keys),
            vault: Arc::clone(&self.app.vault),
            wakes: self.app.wakes.clone(),
            away: crate::sweeper::away::Away::default(),
            defaults: crate::sweeper::schedules::LastDefaults::default(),
        }
    }

    fn expiry(&self) -> Expiry {
        Expiry {
            config: self.app.config.clone(),
            store: self.app.store.clone(),
            registries: self.registries.clone(),
            wakes: self.app.wakes.clone(),
        }
    }

    fn router(&self, inbox: Inbox) -> anyhow::Result<Router> {
        let app = &self.app;
        let load = |forge| Source::load(&app.config, forge);
        let sources = app.config.forges.iter().map(load).collect::<Result<_, _>>()?;
        let lookaside = match &app.config.lookaside {
            Some(lookaside) => crate::lookaside::router(lookaside).with_context(|| {
                format!("cannot make the lookaside directory {}", lookaside.directory.display())
            })?,
            None => Router::new(),
        };
        let router = Router::new()
            .merge(lookaside)
            .merge(crate::runner_api::router(app.clone()))
            .merge(crate::api::router(app.clone()))
            .merge(crate::pages::router(app.clone()))
            .merge(crate::metrics::router(app.clone()))
            .merge(rebuilds::hook::router(app.clone()))
            .merge(webhook::receive::router_wanting(sources, inbox, self.wanted.clone()))
            .layer(axum::middleware::from_fn(crate::metrics::track))
            .layer(CatchPanicLayer::new());
        Ok(router)
    }

    fn spawn_loops(&self, loops: &mut Loops, shutdown: &CancellationToken) {
        let (store, wakes) = (self.app.store.clone(), self.app.wakes.clone());
        macro_rules! spawn {
            ($bell:ident, $name:literal, $agent:expr) => {{
                let (agent, bell, shutdown) =
                    (Arc::new($agent), wakes.$bell.clone(), shutdown.clone());
                loops.spawn($name, async move {
                    let turn = || Arc::clone(&agent).turn();
                    level::run($name, &bell, &shutdown, turn).await;
                });
            }};
        }
        let decoder = Decoder::new(
            store.clone(),
            self.app.config.forges.iter().map(|forge| (forge.name.clone(), forge.kind)),
            wakes.decoder.clone(),
            wakes.intake.clone(),
        );
        loops.spawn("decoder", shutdown.clone().run_until_cancelled_owned(decoder.run()).map(drop));
        let checkpoints = store.clone().checkpoints();
        loops.spawn(
            "checkpoints",
            shutdown.clone().run_until_cancelled_owned(checkpoints).map(drop),
        );
        let metrics = crate::metrics::keep(self.app.metrics.clone());
        loops.spawn("metrics", shutdown.clone().run_until_cancelled_owned(metrics).map(drop));
        spawn!(
            intake,
            "intake",
            Intake {
                store: store.clone(),
                planner: self.planner.clone(),
                forges: self.forges.clone(),
                wakes: wakes.clone(),
                under_way: Arc::default(),
            }
        );
        spawn!(
            speaker,
            "speaker",
            Speaker {
                store: store.clone(),
                forges: self.forges.clone(),
                resumed: OnceCell::new(),
                pace: Pace::default()
            }
        );
        spawn!(
            pinner,
            "pinner",
            Pinner {
                config: self.app.config.clone(),
                store: store.clone(),
                vault: self.app.vault.clone(),
                sources: self.planner.sources.clone(),
                registries: self.registries.clone(),
                worlds: self.app.worlds.clone(),
                wakes: wakes.clone(),
                under_way: Arc::default(),
            }
        );
        spawn!(
            promotion,
            "promotion",
            Promotion {
                store: store.clone(),
                registries: self.registries.clone(),
                wakes: wakes.clone(),
            }
        );
        spawn!(
            attacher,
            "attacher",
            Attacher {
                config: self.app.config.clone(),
                store: store.clone(),
                registries: self.registries.clone(),
            }
        );
        spawn!(
            scheduler,
            "scheduler",
            Scheduler {
                store: store.clone(),
                planner: self.planner.clone(),
                wakes: wakes.clone(),
                under_way: Arc::default(),
            }
        );
        spawn!(
            watch,
            "watch",
            Watch {
                config: self.app.config.clone(),
                store: store.clone(),
                registries: self.registries.clone(),
                wakes: wakes.clone(),
            }
        );
        spawn!(
            rebuilds,
            "rebuilds",
            rebuilds::planner::Planner {
                worlds: self.app.worlds.clone(),
                store: store.clone(),
                sources: self.planner.sources.clone(),
                registries: self.registries.clone(),
                wakes: wakes.clone(),
                logged: rebuilds::problems::Logged::default(),
            }
        );
        spawn!(
            reaper,
            "reaper",
            Reaper { store: store.clone(), logs: self.app.logs.clone(), wakes: wakes.clone() }
        );
    }
}

fn clone_tokens(config: &Config) -> anyhow::Result<HashMap<String, SecretString>> {
    let with_token = config
        .forges
        .iter()
        .filter_map(|forge| Some((forge.name.clone(), forge.clone_token_file.as_ref()?)));
    with_token.map(|(name, file)| Ok((name, read_secret(file)?))).collect()
}

/// The name of this installation, chosen once; a new one would make runners take the old
/// containers for a stranger's and leave them.
fn instance_name(state_dir: &Path) -> anyhow::Result<String> {
    let path = state_dir.join("instance");
    match std::fs::read_to_string(&path) {
        // Empty where the process was killed while it wrote.
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        _ => {}
    }
    let name = uuid::Uuid::new_v4().simple().to_string();
    std::fs::write(&path, &name).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(name)
}
