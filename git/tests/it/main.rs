//! The crate against real repositories: over `file`, and over smart HTTP through
//! `git http-backend`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bounds;
mod checkout;
mod damage;
mod http;
mod mirror;
mod origin;
