//! The hub's side of starting a keeper: spawn it, wait for its lock, hand over the order.

use std::fs::File;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::error::SpawnError;
use crate::local::folder::{RunFolder, open_private};
use crate::local::wire::{Answer, HELD, LOCKED, MAX_MESSAGE, Order};
use lyceum_model::say;
use lyceum_model::saying::Saying;

/// Long, because homes on a slow network file system are made in this time.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

pub(crate) enum Begun {
    Started,
    /// Another keeper has the lock.
    Held,
}

/// If this future is dropped before the order went out, nothing is started; afterwards a keeper
/// holds the lock and can be stopped.
pub(crate) async fn begin(
    shim: &[String],
    folder: &RunFolder,
    order: &Order,
) -> Result<Begun, SpawnError> {
    let text =
        serde_json::to_vec(order).map_err(|_| SpawnError::BadSpec(say!("order.no_number")))?;
    if u64::try_from(text.len()).is_ok_and(|length| length >= MAX_MESSAGE) {
        return Err(SpawnError::BadSpec(say!("order.too_long")));
    }
    let errors = prepare(folder)?;
    let failed = |why: Saying| SpawnError::Keeper {
        program: shim[0].clone(),
        why,
    };
    let mut child = Command::new(&shim[0])
        .args(&shim[1..])
        .arg(folder.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| failed(Saying::quote(error.to_string())))?;
    let pipes = (child.stdin.take(), child.stdout.take());
    let (Some(stdin), Some(stdout)) = pipes else {
        return Err(failed(say!("keeper.no_pipes")));
    };
    let answer = match timeout(ANSWER_LIMIT, talk(stdin, stdout, &text)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(Saying::quote(last_words(folder, &error)))),
        Err(_) => Err(failed(say!("keeper.too_slow", seconds = ANSWER_LIMIT))),
    };
    match answer {
        Ok(Some(Answer::Started)) => {
            wait_in_background(child);
            Ok(Begun::Started)
        }
        Ok(Some(Answer::Failed(error))) => {
            wait_in_background(child);
            Err(error)
        }
        Ok(None) => {
            wait_in_background(child);
            Ok(Begun::Held)
        }
        Err(error) => {
            drop(child.start_kill());
            wait_in_background(child);
            Err(error)
        }
    }
}

/// The folder, and the file for what the keeper itself has to complain about.
fn prepare(folder: &RunFolder) -> Result<File, SpawnError> {
    let path = folder.path();
    folder
        .create()
        .and_then(|()| open_private(&path.join("keeper.log")))
        .map_err(|error| SpawnError::io(say!("doing.make_run_folder"), path, &error))
}

/// None if another keeper has the lock.
async fn talk(
    mut stdin: ChildStdin,
    stdout: ChildStdout,
    order: &[u8],
) -> io::Result<Option<Answer>> {
    let mut stdout = BufReader::new(stdout.take(MAX_MESSAGE));
    let mut line = String::new();
    stdout.read_line(&mut line).await?;
    match line.trim_end() {
        HELD => return Ok(None),
        LOCKED => {}
        _ => return Err(io::Error::other("it ended at once")),
    }
    stdin.write_all(order).await?;
    stdin.shutdown().await?;
    drop(stdin);
    line.clear();
    stdout.read_line(&mut line).await?;
    let answer = serde_json::from_str(&line);
    answer.map_err(|_| io::Error::other("it ended while starting the server"))
}

/// The keeper's complaint if it left one, else what we saw.
fn last_words(folder: &RunFolder, seen: &io::Error) -> String {
    let text = std::fs::read_to_string(folder.path().join("keeper.log")).unwrap_or_default();
    match text.trim() {
        "" => seen.to_string(),
        words => format!("{seen}: {}", words.chars().take(1000).collect::<String>()),
    }
}

/// Keepers that end must not stay as zombies while the hub lives.
fn wait_in_background(mut child: Child) {
    tokio::spawn(async move { drop(child.wait().await) });
}
