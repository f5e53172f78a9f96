//! What the system says of this process, under the names that Prometheus' own clients give it, so that
//! their dashboards and alarms find a hub as they found JupyterHub.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};

/// Asked anew each time somebody looks.
#[derive(Debug)]
pub(crate) struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(stat) = Stat::of_this() {
            let cpu = ConstCounter::new(stat.cpu_seconds);
            let place = encoder.encode_descriptor(
                "process_cpu_seconds",
                "Processor time used",
                None,
                cpu.metric_type(),
            )?;
            cpu.encode(place)?;
            for (name, about, value) in [
                (
                    "process_virtual_memory_bytes",
                    "Address space",
                    stat.virtual_bytes,
                ),
                (
                    "process_resident_memory_bytes",
                    "Memory in use",
                    stat.resident_bytes,
                ),
                (
                    "process_start_time_seconds",
                    "When it began, since 1970",
                    stat.began,
                ),
            ] {
                gauge(&mut encoder, name, about, value)?;
            }
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // One of them is for the look itself.
            let open = open.count().saturating_sub(1);
            gauge(
                &mut encoder,
                "process_open_fds",
                "Open files and connections",
                open as f64,
            )?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            gauge(
                &mut encoder,
                "process_max_fds",
                "How many may be open",
                most as f64,
            )?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, about: &str, value: f64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    let place = encoder.encode_descriptor(name, about, None, gauge.metric_type())?;
    gauge.encode(place)
}

/// Of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    began: f64,
}

impl Stat {
    fn of_this() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let machine = std::fs::read_to_string("/proc/stat").ok()?;
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        Self::read(&stat, &machine, ticks, rustix::param::page_size() as f64)
    }

    fn read(stat: &str, machine: &str, ticks: f64, page: f64) -> Option<Self> {
        // The name before may hold anything, brackets and spaces too.
        let (_, behind) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = behind.split_whitespace().collect();
        // By the numbers of proc(5), of which the third comes first here.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let booted = machine
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?;
        let booted: f64 = booted.trim().parse().ok()?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            began: booted + field(22)? / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{SystemTime, UNIX_EPOCH};

    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn figures_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 9 9 20 0 3 0 1000 8192 5 1";
        let expect = Stat {
            cpu_seconds: 2.0,
            virtual_bytes: 8192.0,
            resident_bytes: 20_480.0,
            began: 1_010.0,
        };
        let machine = "cpu 1 2\nbtime 1000\nprocesses 5\n";
        assert_eq!(Stat::read(stat, machine, 100.0, 4096.0), Some(expect));
        for bad in ["", "7 (a) S 1", "7 (a) S 1 x"] {
            assert_eq!(Stat::read(bad, machine, 100.0, 4096.0), None, "{bad}");
        }
        assert_eq!(Stat::read(stat, "cpu 1", 100.0, 4096.0), None);
    }

    fn told() -> BTreeMap<String, f64> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessMetrics));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.map(|line| line.split_once(' ').expect("a name and a value"));
        pairs
            .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
            .collect()
    }

    #[test]
    fn this_process_is_told_under_the_usual_names() {
        let told = told();
        let names: Vec<&str> = told.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_open_fds",
                "process_resident_memory_bytes",
                "process_start_time_seconds",
                "process_virtual_memory_bytes",
            ]
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
        let age = now.as_secs_f64() - told["process_start_time_seconds"];
        // It began within the hour; a boot time in whole seconds is a second off.
        assert!((-2.0..3600.0).contains(&age), "{age}");
        let (memory, space) = (
            told["process_resident_memory_bytes"],
            told["process_virtual_memory_bytes"],
        );
        assert!(memory > 1_000_000.0 && memory < space, "{memory} {space}");
        let (open, most) = (told["process_open_fds"], told["process_max_fds"]);
        assert!(open >= 3.0 && open < most, "{open} {most}");
    }
}
