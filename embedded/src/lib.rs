//! A Kubernetes control plane for one machine, as a library.
//!
//! It knows nothing of Switchboard and depends on none of its crates. What a request passes through, top to bottom:
//!
//! | module | what it does |
//! |---|---|
//! | [`server`] | TLS listener, certificates, kubeconfig, who is asking and what they may |
//! | [`api`] | one `handle(request) -> response`: routing, create, read, update, patch, delete, watch, tables, discovery, OpenAPI |
//! | [`resource`] | which kinds are served, built in or from a CustomResourceDefinition |
//! | `policy` | ValidatingAdmissionPolicy: rules of users about requests |
//! | [`builtin`] | the built-in kinds: schemas, defaults, rules, table columns |
//! | [`schema`] | structural schemas: unknown fields, pruning, defaults, validation, CEL |
//! | [`patch`] | JSON patch, merge patch, strategic merge patch |
//! | [`fields`] | field sets, managed fields and server-side apply |
//! | [`store`] | objects with versions: durable before a write is answered, watchable after |
//! | [`network`] | addresses of pods and Services, and who answers there |
//! | [`controllers`] | garbage collection, namespace deletion |
//! | [`node`] | the node agent: pods as child processes |
//! | `naming` | characters and hashes of generated names |
//! | [`upgrade`] | connections that become websockets |
//! | [`status`] | errors as Kubernetes says them |

pub mod api;
pub mod body;
pub mod builtin;
pub mod controllers;
pub mod fields;
mod naming;
pub mod network;
pub mod node;
pub mod patch;
mod policy;
pub mod resource;
pub mod schema;
pub mod server;
pub mod status;
pub mod store;
pub mod upgrade;
pub mod user;
