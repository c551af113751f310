//! What containers use.

use std::collections::HashSet;

use async_trait::async_trait;
use bollard::models::{ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use fresco_core::{Error, InstanceId, Result, RuntimeMetrics, RuntimeSample};
use futures_util::future::join_all;
use futures_util::stream::StreamExt;

use crate::runtime::DockerRuntime;

#[async_trait]
impl RuntimeMetrics for DockerRuntime {
    async fn sample(&self, instances: &[InstanceId]) -> Result<Vec<(InstanceId, RuntimeSample)>> {
        let during = |error: Error| error.during("runtime.sample");
        let running: HashSet<_> = self.ids(None, true).await.map_err(during)?.into_iter().collect();
        let wanted = instances.iter().filter(|id| running.contains(id.as_str()));
        // All at once: Docker measures on a shared tick of a second, so that one after another
        // would take a second each.
        let samples = join_all(wanted.map(|id| async move {
            let sample = self.stats(id).await.transpose()?;
            Some(sample.map(|sample| (id.clone(), sample)))
        }));
        samples.await.into_iter().flatten().collect::<Result<_>>().map_err(during)
    }
}

impl DockerRuntime {
    /// One sample; `None` when the container has ended in the meantime.
    async fn stats(&self, id: &InstanceId) -> Result<Option<RuntimeSample>> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut answers = self.engine.docker().stats(id.as_str(), Some(options)).boxed();
        let call = async { answers.next().await.transpose() };
        match self.engine.call("measure the container", call).await {
            Ok(answer) => Ok(answer.and_then(sample)),
            Err(failed) if matches!(failed.status(), Some(404 | 409)) => Ok(None),
            Err(failed) => Err(Error::from(failed).with("container", id)),
        }
    }
}

fn sample(stats: ContainerStatsResponse) -> Option<RuntimeSample> {
    let memory = stats.memory_stats?;
    let networks = stats.networks.unwrap_or_default();
    let cpu = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage);
    Some(RuntimeSample {
        cpu_nanos: cpu.and_then(|cpu| cpu.total_usage).unwrap_or_default(),
        // A container that has ended has no usage.
        memory_bytes: used(&memory)?,
        memory_limit_bytes: memory.limit.unwrap_or_default(),
        network_rx_bytes: networks.values().filter_map(|network| network.rx_bytes).sum(),
        network_tx_bytes: networks.values().filter_map(|network| network.tx_bytes).sum(),
        pids: stats.pids_stats.and_then(|pids| pids.current)?,
    })
}

/// The memory in use without the file cache that the kernel gives back at once. The two names are
/// those of control groups 1 and 2.
fn used(memory: &ContainerMemoryStats) -> Option<u64> {
    let details = memory.stats.as_ref();
    let detail = |name: &str| details.and_then(|details| details.get(name)).copied();
    let cache = detail("total_inactive_file").or_else(|| detail("inactive_file"));
    Some(memory.usage?.saturating_sub(cache.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn memory(detail: &str) -> ContainerMemoryStats {
        ContainerMemoryStats {
            usage: Some(1000),
            stats: Some(HashMap::from([(detail.to_owned(), 300)])),
            ..Default::default()
        }
    }

    #[test]
    fn file_cache_is_not_used_memory() {
        assert_eq!(used(&memory("total_inactive_file")), Some(700));
        assert_eq!(used(&memory("inactive_file")), Some(700));
        assert_eq!(used(&memory("other")), Some(1000));
        assert_eq!(used(&ContainerMemoryStats::default()), None);
    }
}
