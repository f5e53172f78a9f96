//! Mail to people, by SMTP: what is written, and how it goes out.
//!
//! Nobody waits for a mail server: whoever has something to send puts it in a queue that has an end, and a job
//! ([`run`]) looks up what there is to look up, writes the letter and delivers it. So an answer takes the same
//! time whether there is somebody to write to or not, and whether the server is quick, slow or away. The queue
//! is in memory alone, since a letter holds a secret: what a restart loses is asked for once more.
//!
//! What is asked for by mail is in `errands`, and how a letter is delivered in `carrier`.

mod carrier;
mod errands;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lyceum_auth::addresses::MailAddress;
use lyceum_model::secret::Secret;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use carrier::{deliver, look};
pub use errands::Errand;
pub(crate) use errands::comes_by_password;

use crate::Hub;

/// So many wait; what comes then is lost, and told in the log.
const QUEUE: usize = 256;
/// So many are on their way at a time, so that one slow connection holds up nobody.
const AT_ONCE: usize = 4;
/// A letter that takes longer is given up.
pub const LONGEST: Duration = Duration::from_secs(30);
/// At the end, those that are on their way have so long.
const LAST: Duration = Duration::from_secs(5);

/// Where mail goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConfig {
    pub server: String,
    pub port: u16,
    pub security: Security,
    /// Name and password, where the server wants them.
    pub credentials: Option<(String, Secret)>,
    pub from: MailAddress,
    /// As which host we greet; nothing: as one without a name.
    pub hello: Option<String>,
    /// Certificates that count besides the system's, in PEM form.
    pub authorities: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Begun in the clear, and nothing is said before it is TLS.
    StartTls,
    /// TLS from the first byte on.
    Tls,
    None,
}

/// What is sent to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub to: MailAddress,
    /// What the sender is called.
    pub from_name: String,
    pub subject: String,
    pub text: String,
}

/// The queue. One job takes from it.
pub struct Post {
    into: mpsc::Sender<Errand>,
    out_of: Mutex<Option<mpsc::Receiver<Errand>>>,
}

impl Default for Post {
    fn default() -> Self {
        let (into, out_of) = mpsc::channel(QUEUE);
        Self {
            into,
            out_of: Mutex::new(Some(out_of)),
        }
    }
}

impl Post {
    /// Hands an errand over, and waits for nothing.
    pub fn ask(&self, errand: Errand) {
        if self.into.try_send(errand).is_err() {
            tracing::warn!("too much mail waits: something that was to be sent is lost");
        }
    }

    fn take(&self) -> Option<mpsc::Receiver<Errand>> {
        let mut out_of = self.out_of.lock().unwrap_or_else(PoisonError::into_inner);
        out_of.take()
    }
}

impl Hub {
    /// Where mail goes out, if it does: there is a server for it, and an address of ours that links can name.
    /// That one is the configuration's alone; what a browser says it came to would lead people astray.
    pub fn mail(&self) -> Option<Arc<MailConfig>> {
        let settings = self.settings();
        settings.origins.hub()?;
        settings.mail.clone()
    }
}

/// Sends what is asked for, until the end.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let Some(mut errands) = hub.post().take() else {
        return;
    };
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = under_way.join_next() => {}
            errand = errands.recv(), if under_way.len() < AT_ONCE => match errand {
                Some(errand) => {
                    under_way.spawn(errands::run(hub.clone(), errand));
                }
                None => break,
            },
        }
    }
    let rest = async { while under_way.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(LAST, rest).await.is_ok();
    let left = errands.len() + under_way.len();
    if !in_time || left > 0 {
        tracing::warn!(
            left,
            "mail was not sent before the end; whoever waits for it asks once more"
        );
    }
}
