//! Getting images ready.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::CreateImageOptionsBuilder;
use fresco_core::{
    Error, ErrorKind, ImageId, ImageRef, ImageSource, ProgressSink, PullProgress, Result,
};
use futures_util::stream::StreamExt;

use crate::engine::Engine;
use crate::errors::Failed;

pub(crate) async fn prepare(
    engine: &Engine,
    image: &ImageSource,
    progress: &ProgressSink,
) -> Result<ImageId> {
    let (wanted, name) = match image {
        ImageSource::Named(name) => (name.as_str(), name),
        ImageSource::Pinned(id, name) => (id.as_str(), name),
    };
    if let Some(id) = find(engine, wanted).await? {
        return Ok(id);
    }
    if name.as_str().starts_with("sha256:") {
        // An id names an image that was here; no registry knows it.
        return Err(missing(name.as_str()));
    }
    pull(engine, name, progress).await?;
    match find(engine, wanted).await? {
        Some(id) => Ok(id),
        None if wanted == name.as_str() => Err(missing(wanted)),
        None => Err(Error::new(
            ErrorKind::NotFound,
            format!("{name} stands for another image by now, and the one in use is gone: update the tenant"),
        )
        .with("image", wanted)),
    }
}

/// The user that the image names, if any. Fails unless the image is there.
pub(crate) async fn user(engine: &Engine, image: &ImageId) -> Result<Option<String>> {
    let found = inspect(engine, image.as_str()).await?.ok_or_else(|| missing(image.as_str()))?;
    Ok(found.config.and_then(|config| config.user).filter(|user| !user.is_empty()))
}

pub(crate) fn missing(image: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no image {image}"))
}

/// The image of this name or id, if the engine has it.
pub(crate) async fn find(engine: &Engine, image: &str) -> Result<Option<ImageId>> {
    Ok(inspect(engine, image).await?.and_then(|found| found.id).map(ImageId::new))
}

async fn inspect(engine: &Engine, image: &str) -> Result<Option<ImageInspect>> {
    // A name becomes part of an address: it must not lead elsewhere.
    if image.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(
            Error::new(ErrorKind::Invalid, "an image is named repository:tag").with("image", image)
        );
    }
    match engine.call("look at the image", engine.docker().inspect_image(image)).await {
        Ok(found) => Ok(Some(found)),
        Err(failed) if failed.is_absent() => Ok(None),
        Err(failed) => Err(Error::from(failed).with("image", image)),
    }
}

async fn pull(engine: &Engine, name: &ImageRef, sink: &ProgressSink) -> Result<()> {
    let what = "fetch the image";
    let options = CreateImageOptionsBuilder::default().from_image(&tagged(name)).build();
    let mut news = engine.docker().create_image(Some(options), None, None);
    let mut layers = Layers::default();
    // Each piece of news has the time of a call: a fetch that stands still is given up.
    while let Some(info) = engine
        .call(what, async { news.next().await.transpose() })
        .await
        .map_err(|failed| refused(failed, name))?
    {
        if let Some(progress) = layers.update(info) {
            sink.report(progress);
        }
    }
    Ok(())
}

/// Whether the image's registry offers it, asked for this long. Nothing is fetched.
pub(crate) async fn offered(engine: &Engine, name: &ImageRef, time: Duration) -> Result<()> {
    let name_with_tag = tagged(name);
    let call = engine.docker().inspect_registry_image(&name_with_tag, None);
    let asked = engine.call_within(time, "ask the image's registry", call).await;
    asked.map(drop).map_err(|failed| refused(failed, name))
}

/// The name with a tag: without one, Docker would fetch every tag there is.
fn tagged(name: &ImageRef) -> String {
    let bare = name.as_str() == name.repository();
    if bare { format!("{name}:latest") } else { name.to_string() }
}

fn refused(failed: Failed, name: &ImageRef) -> Error {
    let words = failed.words();
    let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    if failed.is_absent()
        || says(&[
            "manifest unknown",
            "not found",
            "repository does not exist",
            "pull access denied",
            "name unknown",
        ])
    {
        let source = Error::from(failed);
        return missing(name.as_str()).with_source(source);
    }
    let answered = !words.is_empty();
    let error = Error::from(failed);
    match error.kind() {
        // The registry can't be reached, or not now.
        ErrorKind::Internal if answered => Error::new(
            ErrorKind::Unavailable,
            format!("could not fetch the image {name}: its registry does not answer as it should"),
        )
        .with_source(error),
        _ => error.with("image", name),
    }
}

/// What is known of each layer: bytes fetched, and bytes in all.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    /// Takes one piece of news; gives the sums if they changed.
    fn update(&mut self, info: CreateImageInfo) -> Option<PullProgress> {
        let (layer, status) = (info.id?, info.status?);
        let known = self.0.get(&layer).copied().unwrap_or_default();
        let detail = info.progress_detail.unwrap_or_default();
        let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let now = match status.as_str() {
            "Downloading" => {
                (bytes(detail.current).unwrap_or(known.0), bytes(detail.total).unwrap_or(known.1))
            }
            "Download complete" | "Pull complete" => (known.1, known.1),
            _ => known,
        };
        self.0.insert(layer, now);
        if now == known {
            return None;
        }
        let sum = |part: fn(&(u64, u64)) -> u64| self.0.values().map(part).sum();
        let total: u64 = sum(|layer| layer.1);
        Some(PullProgress {
            detail: "fetching the image".into(),
            bytes: sum(|layer| layer.0),
            total_bytes: (total > 0).then_some(total),
        })
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;
    use crate::errors::Cause;

    fn name() -> ImageRef {
        "registry.test/app:1".parse().unwrap()
    }

    fn answer(message: &str) -> Error {
        let error = bollard::errors::Error::DockerResponseServerError {
            status_code: 500,
            message: message.into(),
        };
        let failed = Failed {
            what: "fetch the image",
            host: String::new(),
            cause: Cause::Vendor(Box::new(error)),
        };
        refused(failed, &name())
    }

    #[test]
    fn an_image_that_does_not_exist_is_told_from_a_registry_that_does_not_answer() {
        for words in ["manifest unknown", "pull access denied for app, repository does not exist"] {
            let error = answer(words);
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.message().contains("registry.test/app:1"));
        }
        for words in ["dial tcp: lookup registry.test: no such host", "i/o timeout"] {
            let error = answer(words);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.is_retryable());
            assert!(error.chain().contains(words));
        }
    }

    #[test]
    fn only_one_tag_is_fetched() {
        for (text, tag) in [
            ("app", "app:latest"),
            ("r:5000/app", "r:5000/app:latest"),
            ("app@sha256:1", "app@sha256:1"),
            ("app:2", "app:2"),
        ] {
            assert_eq!(tagged(&text.parse().unwrap()), tag);
        }
    }

    #[test]
    fn progress_is_the_sum_of_the_layers_and_never_falls() {
        let news = |layer: &str, status: &str, current, total| CreateImageInfo {
            id: Some(layer.into()),
            status: Some(status.into()),
            progress_detail: Some(ProgressDetail { current, total }),
            ..Default::default()
        };
        let mut layers = Layers::default();
        assert_eq!(layers.update(news("a", "Pulling fs layer", None, None)), None);
        let first = layers.update(news("a", "Downloading", Some(10), Some(100))).unwrap();
        assert_eq!((first.bytes, first.total_bytes), (10, Some(100)));
        let second = layers.update(news("b", "Downloading", Some(5), Some(50))).unwrap();
        assert_eq!((second.bytes, second.total_bytes), (15, Some(150)));
        let third = layers.update(news("a", "Download complete", None, None)).unwrap();
        assert_eq!((third.bytes, third.total_bytes), (105, Some(150)));
        // Unpacking counts its own bytes; they are no news of the fetch.
        assert_eq!(layers.update(news("a", "Extracting", Some(1), Some(100))), None);
    }
}
