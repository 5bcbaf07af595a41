//! The bodies of answers.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc;

use super::feed::Watching;

/// The body of an answer: whole, or chunks for as long as the viewer stays.
pub enum PageBody {
    Whole(Option<Bytes>),
    Stream {
        chunks: mpsc::Receiver<Bytes>,
        /// Counts the viewer until the body is dropped.
        _watching: Option<Watching>,
    },
}

impl PageBody {
    /// Whether it lasts for as long as the viewer stays.
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let chunk = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Stream { chunks, .. } => ready!(chunks.poll_recv(context)),
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
