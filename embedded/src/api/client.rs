//! A `kube::Client` that reaches the API without a socket.

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::service_fn;

use super::{Api, respond};
use crate::body::Body;
use crate::status::Status;
use crate::user::User;

impl Api {
    /// A client that acts as `user`.
    pub fn client(&self, user: User) -> kube::Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<kube::client::Body>| {
            let (api, user) = (api.clone(), user.clone());
            async move { Ok::<Response<Body>, Infallible>(api.answer(request, &user).await) }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, request: Request<kube::client::Body>, user: &User) -> Response<Body> {
        let (parts, body) = request.into_parts();
        match body.collect().await {
            Ok(body) => self.handle(Request::from_parts(parts, body.to_bytes()), user).await,
            Err(cause) => respond::error(&Status::bad_request(format!("the request's body cannot be read: {cause}"))),
        }
    }
}
