//! Several operators: one leads, each serves systems; they are killed, stopped and replaced, and so is the API server.

mod api_server;
mod deaths;
mod front;
mod replica;
mod scene;
mod together;
