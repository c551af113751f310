//! Making images ready.

use std::sync::{Arc, Mutex};

use super::{done, prepared};
use crate::conformance::support::refused;
use crate::conformance::{ExampleApp, RuntimeFetchFixture, RuntimeFixture};
use crate::{ErrorKind, ImageSource, ProgressSink, PullProgress};

/// A sink, and what it was told.
fn listening() -> (ProgressSink, Arc<Mutex<Vec<PullProgress>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&told);
    (ProgressSink::new(move |progress| ear.lock().unwrap().push(progress)), told)
}

/// An image that is there is used; nothing is fetched.
pub async fn prepare_uses_what_is_there<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let source = ImageSource::Named(fixture.second_image());
    let (sink, told) = listening();
    let first = done("prepare", runtime.prepare(&source, &sink).await);
    let second = done("prepare again", runtime.prepare(&source, &sink).await);
    assert_eq!(first, second, "the same name stood for the same image, but it got another id");
    let fetched: Vec<_> = told.lock().unwrap().iter().filter(|p| p.bytes > 0).cloned().collect();
    assert!(fetched.is_empty(), "bytes of an image that is there were fetched: {fetched:?}");
}

/// An image that is not there is fetched, with progress.
pub async fn prepare_fetches_what_is_not_there<F: RuntimeFetchFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let source = ImageSource::Named(fixture.fetchable_image().await);
    let (sink, told) = listening();
    let first = done("prepare of an image to fetch", runtime.prepare(&source, &sink).await);
    let reports = told.lock().unwrap().clone();
    assert!(
        reports.iter().any(|report| report.bytes > 0),
        "an image was fetched, but no report told of bytes: {reports:?}"
    );
    let (sink, told) = listening();
    let second = done("prepare after fetching", runtime.prepare(&source, &sink).await);
    assert_eq!(first, second, "the image that was fetched should be the one that is there now");
    let reports = told.lock().unwrap().clone();
    assert!(reports.iter().all(|report| report.bytes == 0), "it was fetched twice: {reports:?}");
}

/// A pinned image that is there is used even if its name stands for another one by now.
pub async fn prepare_keeps_a_pinned_image<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let runtime = fixture.runtime();
    let first = prepared(&runtime, fixture.example(ExampleApp::Serves).image).await;
    let second = prepared(&runtime, fixture.second_image()).await;
    assert_ne!(first, second, "the fixture's two images should be different ones");
    let pinned = ImageSource::Pinned(first.clone(), fixture.second_image());
    let (sink, told) = listening();
    let used = done("prepare of a pinned image", runtime.prepare(&pinned, &sink).await);
    assert_eq!(used, first, "the pinned image was there, but what its name stands for was used");
    assert!(told.lock().unwrap().iter().all(|p| p.bytes == 0), "a pinned image was fetched");
}

/// An image that does not exist is `NotFound`, and the message names it.
pub async fn prepare_names_a_missing_image<F: RuntimeFixture + ?Sized>(fixture: &F) {
    let missing = fixture.missing_image();
    let source = ImageSource::Named(missing.clone());
    let result = fixture.runtime().prepare(&source, &ProgressSink::ignore()).await;
    let error = refused("prepare of a missing image", result, ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains(missing.as_str()), "the message should name {missing}: {text}");
}
