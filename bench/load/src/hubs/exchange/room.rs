//! Memory and disk.

use super::super::{Goal, Row};
use super::client;
use super::{COURSE, Side, class};
use crate::measure::to_float;
use crate::report::show;
use anyhow::Result;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// As large as ngshare takes it: 100 MiB of form.
const FORM: usize = 70_000_000;
const LARGE: usize = 100_000_000;
const BOUNDARY: &str = "lyceum-load-boundary";

/// What one large submission adds to the memory of all processes.
pub(super) async fn large(peer: &Side, here: &Side) -> Result<Vec<Row>> {
    let form = class::large(FORM).as_sent();
    let mut added = Vec::new();
    for side in [peer, here] {
        side.release("large", &class::note("hand in").as_sent())
            .await?;
        // Whatever a first upload wants once is not what a large one adds.
        let path = format!("submission/{COURSE}/large");
        let small = class::note("first").as_sent();
        side.students[0]
            .send(&side.hub, &path, &[("files", &small)])
            .await?;
        let request = side.students[0].request(&side.hub, &path, &[("files", &form)]);
        added.push(adds(side, &request).await?);
    }
    drop(form);
    let path = format!("/hub/api/lyceum/exchange/courses/{COURSE}/assignments/large/submissions");
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"large.bin\"; filename=\"large.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(class::large(LARGE).first());
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = here.students[1].post(&here.hub, &path, &kind, &body);
    drop(body);
    let own = adds(here, &request).await?;
    let rows = vec![
        Row {
            what: "a submission of 70 MB as nbgrader sends it adds to resident memory, MB".into(),
            jupyterhub: Some(added[0]),
            lyceum: added[1],
            goal: Goal::AtMost(16.0),
        },
        Row {
            what: "one of 100 MB by our own API, MB".into(),
            jupyterhub: None,
            lyceum: own,
            goal: Goal::AtMost(16.0),
        },
    ];
    super::tell(&rows);
    Ok(rows)
}

/// The most that was resident meanwhile, less what was before; in MB.
async fn adds(side: &Side, request: &[u8]) -> Result<f64> {
    eprintln!("{} bytes in one request", show(to_float(request.len())));
    side.hub.process.forget_peaks()?;
    let before = side.hub.process.resident()?;
    client::ask(&side.hub, request).await?;
    let peak = side.hub.process.peak()?;
    Ok((peak - before).max(0.0) * 1024.0 / 1e6)
}

/// Bytes that a folder takes on the disk.
pub(super) fn on_disk(folder: &Path) -> Result<f64> {
    let mut blocks = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            // What goes away meanwhile takes nothing.
            let Ok(about) = entry.path().symlink_metadata() else {
                continue;
            };
            blocks += about.blocks();
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(crate::measure::count(blocks * 512))
}
