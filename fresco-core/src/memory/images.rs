//! Images: where they are fetched from, and which are there.

use std::collections::BTreeMap;

use super::app::MemoryApp;
use crate::ids::ImageId;

#[derive(Default)]
pub(super) struct Images {
    /// What a name stands for.
    names: BTreeMap<String, ImageId>,
    images: BTreeMap<ImageId, Image>,
}

struct Image {
    app: MemoryApp,
    fetched: bool,
}

impl Images {
    pub(super) fn add(&mut self, name: String, app: MemoryApp) {
        let id = ImageId::new(format!("memory:{}", self.images.len() + 1));
        self.images.insert(id.clone(), Image { app, fetched: false });
        self.names.insert(name, id);
    }

    pub(super) fn named(&self, name: &str) -> Option<ImageId> {
        self.names.get(name).cloned()
    }

    pub(super) fn is_fetched(&self, id: &ImageId) -> bool {
        self.images.get(id).is_some_and(|image| image.fetched)
    }

    pub(super) fn fetch(&mut self, id: &ImageId) {
        if let Some(image) = self.images.get_mut(id) {
            image.fetched = true;
        }
    }

    /// The app of an image that is there.
    pub(super) fn app(&self, id: &ImageId) -> Option<&MemoryApp> {
        self.images.get(id).filter(|image| image.fetched).map(|image| &image.app)
    }
}
