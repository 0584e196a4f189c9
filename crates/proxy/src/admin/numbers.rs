//! `/stats`: the numbers in the form that is asked for.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use serde_json::Value;

use super::{Admin, Format, Parameters, Refused};
use crate::control::certificates;
use crate::telemetry::stats::{ClusterView, Detail, Exposition, Form, JsonForm, Selection, Snapshot, Text};

impl Admin {
    /// The numbers of the process, in two parts: those whose names sort before `cluster.`, and the
    /// others.
    fn process(&self) -> [Snapshot; 2] {
        let source = &*self.source;
        let all = Snapshot::of_process(self.server(), &source.reloads(), source.workers(), source.log());
        let all = all.with_certificates(&source.certificates(), certificates::now());
        all.split_at("cluster.")
    }

    /// Goes through the numbers of all clusters.
    fn each_cluster(&self, detail: Detail, mut add: impl FnMut(Snapshot)) {
        let workers = self.source.workers();
        let mut visit = |cluster: &ClusterView| add(Snapshot::of_cluster(cluster, workers, detail));
        self.source.visit_clusters(&mut visit);
    }

    fn text(&self, selection: Selection) -> String {
        let mut text = Text::new(selection);
        let [before, after] = self.process();
        text.add(&before);
        self.each_cluster(Detail::Full, |cluster| text.add(&cluster));
        text.add(&after);
        text.finish()
    }

    fn json(&self, selection: Selection) -> Value {
        let mut json = JsonForm::new(selection);
        let [before, after] = self.process();
        json.add(&before);
        self.each_cluster(Detail::Full, |cluster| json.add(&cluster));
        json.add(&after);
        json.finish()
    }

    /// In the pieces that it is made of: the page is megabytes where there are thousands of clusters.
    fn prometheus(&self, form: Form, selection: Selection) -> Response {
        let mut page = Exposition::new(form, selection);
        self.process().into_iter().for_each(|part| page.add_process(part));
        self.each_cluster(page.detail(), |cluster| page.add_cluster(cluster));
        let kind = [(CONTENT_TYPE, form.media_type())];
        (kind, Body::new(Pieces(page.finish().into()))).into_response()
    }
}

pub(super) async fn all_stats(
    State(admin): State<Admin>,
    Query(asked): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (selection, format, form) = (asked.selection()?, asked.format()?, form(&headers));
    let make = move |admin: &Admin| match format {
        Format::Text => admin.text(selection).into_response(),
        Format::Json => Json(admin.json(selection)).into_response(),
        Format::Prometheus => admin.prometheus(form, selection),
    };
    admin.page(make).await
}

pub(super) async fn prometheus(
    State(admin): State<Admin>,
    Query(asked): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (selection, form) = (asked.selection()?, form(&headers));
    admin.page(move |admin| admin.prometheus(form, selection)).await
}

/// The form that a scraper asks for.
fn form(headers: &HeaderMap) -> Form {
    let accept = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    Form::accepted(&accept.collect::<Vec<_>>().join(","))
}

/// A body that is here already, in pieces.
struct Pieces(VecDeque<String>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.pop_front();
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
