//! What else is on the engine: containers of other platforms.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::ListContainersOptionsBuilder;
use fresco_core::{Result, labels};

use crate::runtime::DockerRuntime;

impl DockerRuntime {
    /// The other platforms with containers on this engine, and how many each has, running or not.
    ///
    /// They are left alone. When they are unexpected, this platform's store is not the one that made
    /// them: it is empty, or another's.
    ///
    /// # Errors
    /// `Unavailable` when Docker does not answer.
    pub async fn other_platforms(&self) -> Result<BTreeMap<String, usize>> {
        let filters = HashMap::from([("label", vec![labels::PLATFORM.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let call = self.engine.docker().list_containers(Some(options));
        let found = self.engine.call("list the containers of other platforms", call).await?;
        let own = self.config.platform.to_string();
        let mut others = BTreeMap::new();
        for mut marks in found.into_iter().filter_map(|container| container.labels) {
            if let Some(platform) = marks.remove(labels::PLATFORM).filter(|other| *other != own) {
                *others.entry(platform).or_default() += 1;
            }
        }
        Ok(others)
    }
}
