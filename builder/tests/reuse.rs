//! What a build takes from earlier ones, from other machines and over broken connections, and what
//! it says of itself.
//!
//! Needs root, an OCI runtime, `docker-registry` and a static busybox; without them the tests say
//! so and end.

mod parts;

mod reuse {
    pub(crate) mod machine;
    pub(crate) mod names;
    pub(crate) mod steps;
    pub(crate) mod transport;
    pub(crate) mod wire;
    pub(crate) mod words;
}
