//! `lyceum backup` and `lyceum restore`.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;
use lyceum_store::backup;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print};
use crate::compose::Ground;
use crate::data::DataFolder;
use crate::failure::Failure;
use crate::progress::Progress;

/// Write everything into one file, while Lyceum runs.
#[derive(Debug, Args)]
#[command(
    after_help = "The file holds the database, all files handed in and, unless left out, the key that opens sealed \
        secrets: keep it as safe as the installation.\n\nExample:\n  lyceum backup lyceum-2026-11-21.backup"
)]
pub struct Backup {
    /// The file to write; it must not be there yet.
    pub file: PathBuf,
    /// Leave the key out; a restore then needs the key file from elsewhere.
    #[arg(long)]
    pub without_key: bool,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Fill an empty installation from a backup, on either database.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing else may run on the data folder, which is made when it is not there. A backup of SQLite can be restored into PostgreSQL, and the other \
        way round: name the database in lyceum.yaml.\n\nExample:\n  lyceum restore lyceum-2026-11-21.backup --data new-data"
)]
pub struct Restore {
    /// The file to read.
    pub file: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl Backup {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let progress = Progress::suited(false);
        let summary = block_on(async {
            let (ground, _, _) = ground(&self.data, &self.config).await?;
            write(&ground, &self, &progress).await
        });
        progress.finish();
        let summary = summary?;
        print(&format!(
            "{}: {} rows of {} tables, {} files{}\n",
            self.file.display(),
            summary.rows,
            summary.tables,
            summary.blobs,
            if summary.key {
                ", and the key"
            } else {
                "; without the key"
            }
        ))?;
        Ok(Outcome::Good)
    }
}

/// Written beside, synced, then renamed: a file of that name is a whole backup.
async fn write(
    ground: &Ground,
    order: &Backup,
    progress: &Progress,
) -> Result<backup::Summary, Failure> {
    let failed = |error: &std::io::Error| {
        Failure::io(format!("{} can't be written", order.file.display()), error)
    };
    if order.file.exists() {
        return Err(
            Failure::new(format!("{} is there already", order.file.display()))
                .hint("name a new file"),
        );
    }
    let folder = order
        .file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(std::path::Path::new("."));
    let temp = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    let out = temp.as_file().try_clone().map_err(|error| failed(&error))?;
    let keys = (!order.without_key).then_some(&ground.keys);
    let mut tell = |step| tell(progress, step);
    let (summary, out) = backup::backup(
        &ground.db,
        &ground.blobs,
        keys,
        out,
        ground.clock.now(),
        &mut tell,
    )
    .await
    .map_err(|error| Failure::new(format!("the backup failed: {error:#}")))?;
    out.sync_all().map_err(|error| failed(&error))?;
    temp.persist_noclobber(&order.file)
        .map_err(|error| failed(&error.error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed(&error))?;
    Ok(summary)
}

impl Restore {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let progress = Progress::suited(false);
        let summary = block_on(async {
            let loaded = super::config::load(
                crate::config::locate(self.config.config.as_deref()).as_deref(),
            )?;
            let file = File::open(&self.file).map_err(|error| {
                Failure::io(format!("{} can't be read", self.file.display()), &error)
            })?;
            let folder = DataFolder::open(&self.data.data)?;
            // The key comes out of the backup: none is made before.
            let key = folder.layout().master_key();
            let store = crate::compose::Store::open(&loaded.config, folder.layout()).await?;
            let mut tell = |step| tell(&progress, step);
            let summary = backup::restore(file, &store.db, &store.blobs, Some(&key), &mut tell)
                .await
                .map_err(|error| Failure::new(format!("{error:#}")).hint("nothing was changed"))?;
            store.db.close().await;
            Ok(summary)
        });
        progress.finish();
        let summary = summary?;
        print(&format!(
            "restored {} rows and {} files\n",
            summary.rows, summary.blobs
        ))?;
        if !summary.key {
            print(
                "The backup came without its key: copy the key file to keys/master in the data folder before the start.\n",
            )?;
        }
        Ok(Outcome::Good)
    }
}

fn tell(progress: &Progress, step: backup::Progress) {
    match step {
        backup::Progress::Table { name, rows } => {
            progress.step(&format!("table {name}: {rows} rows"))
        }
        backup::Progress::Blobs { done } => progress.step(&format!("{done} files")),
    }
}
