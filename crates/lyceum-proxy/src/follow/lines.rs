//! Lines out of a body that comes in pieces of any size; bounded, and never silent for long.

use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::wire::MAX_LINE;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("the stream ended")]
    End,
    #[error("the stream broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    #[error("a line is longer than {MAX_LINE} bytes")]
    TooLong,
}

pub(crate) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// So far there is no line end in the buffer.
    looked: usize,
}

impl Lines {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            looked: 0,
        }
    }

    pub(crate) async fn next(&mut self, silence: Duration) -> Result<BytesMut, LineError> {
        loop {
            let found = self.buffer[self.looked..]
                .iter()
                .position(|byte| *byte == b'\n');
            if let Some(at) = found {
                let line = self.buffer.split_to(self.looked + at + 1);
                self.looked = 0;
                return Ok(line);
            }
            self.looked = self.buffer.len();
            if self.looked > MAX_LINE {
                return Err(LineError::TooLong);
            }
            let frame = tokio::time::timeout(silence, self.body.frame())
                .await
                .map_err(|_| LineError::Silent(silence))?
                .ok_or(LineError::End)??;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
