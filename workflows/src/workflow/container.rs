//! `container` and `services`: the images that a job runs in and beside.

use super::raw::{Node, Value};
use super::reader::{Fields, Reader};
use super::text::{Located, Position, Table, Text};

/// `container` of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Where it stands.
    pub at: Position,
    /// The image as written.
    pub image: Text,
    /// How to log in to the image's registry.
    pub credentials: Option<Credentials>,
    /// Variables within it.
    pub env: Table,
    /// Ports to open.
    pub ports: Vec<Text>,
    /// Volumes to mount.
    pub volumes: Vec<Text>,
    /// Options of `docker create`.
    pub options: Option<Text>,
}

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: Text,
    /// The password, which should be an expression that names a secret.
    pub password: Text,
}

/// One of `services`: a container that runs beside a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, by which the job reaches it.
    pub name: Located<String>,
    /// What runs.
    pub container: Container,
    /// In place of the image's own entry point.
    pub entrypoint: Option<Text>,
    /// In place of the image's own command.
    pub command: Option<Text>,
}

const CONTAINER_KEYS: [&str; 6] = ["image", "credentials", "env", "ports", "volumes", "options"];
const SERVICE_KEYS: [&str; 8] =
    ["image", "credentials", "env", "ports", "volumes", "options", "entrypoint", "command"];

impl Container {
    /// Reads `container` of a job: an image, or a mapping that has one.
    pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>) -> Option<Self> {
        let node = fields.get("container")?;
        let at = fields.place_of("container").unwrap_or(node.at);
        let path = fields.path_of("container");
        if !matches!(node.value, Value::Map(_)) {
            let image = reader.filled_text(node, &path)?;
            return Some(Self { at, image, ..Self::default() });
        }
        let fields = reader.fields(node, &path, &CONTAINER_KEYS)?;
        Self::of_fields(reader, &fields, at)
    }

    fn of_fields(reader: &mut Reader, fields: &Fields<'_>, at: Position) -> Option<Self> {
        let image = match fields.get("image") {
            Some(node) => reader.text_or_empty(node, &fields.path_of("image")),
            None => {
                reader.report.error(at, format!("`{}` needs an `image`", fields.path));
                None
            }
        };
        let credentials =
            fields.get("credentials").and_then(|node| Credentials::read(reader, node, fields));
        let env = super::read_env(reader, fields);
        let mut texts = |key| {
            let read = |node| reader.texts(node, &fields.path_of(key));
            fields.get(key).and_then(read).unwrap_or_default()
        };
        let (ports, volumes) = (texts("ports"), texts("volumes"));
        let options = fields
            .get("options")
            .and_then(|node| reader.text_or_empty(node, &fields.path_of("options")));
        Some(Self { at, image: image?, credentials, env, ports, volumes, options })
    }
}

impl Credentials {
    fn read(reader: &mut Reader, node: &Node, parent: &Fields<'_>) -> Option<Self> {
        let path = parent.path_of("credentials");
        let fields = reader.fields(node, &path, &["username", "password"])?;
        let mut text = |key| match fields.get(key) {
            Some(node) => reader.text(node, &fields.path_of(key)),
            None => {
                reader.report.error(node.at, format!("`{path}` needs a `{key}`"));
                None
            }
        };
        let (username, password) = (text("username"), text("password"));
        Some(Self { username: username?, password: password? })
    }
}

impl Service {
    /// Reads `services` of a job.
    pub(super) fn read_all(reader: &mut Reader, fields: &Fields<'_>) -> Vec<Self> {
        let services = fields.get("services").and_then(|node| {
            let path = fields.path_of("services");
            reader.mapping(node, &path)
        });
        let Some(services) = services else { return Vec::new() };
        let read = |(name, node): (Located<String>, &Node)| {
            let path = services.path_of(&name.value);
            Self::read(reader, name, node, &path)
        };
        services.iter().filter_map(read).collect()
    }

    fn read(reader: &mut Reader, name: Located<String>, node: &Node, path: &str) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let image = reader.filled_text(node, path)?;
            let container = Container { at: name.at, image, ..Container::default() };
            return Some(Self { name, container, entrypoint: None, command: None });
        }
        let fields = reader.fields(node, path, &SERVICE_KEYS)?;
        let container = Container::of_fields(reader, &fields, name.at);
        let mut text =
            |key| fields.get(key).and_then(|node| reader.text_or_empty(node, &fields.path_of(key)));
        let (entrypoint, command) = (text("entrypoint"), text("command"));
        Some(Self { name, container: container?, entrypoint, command })
    }
}
