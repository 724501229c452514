//! Publishing what this gateway's own clients changed.

use uuid::Uuid;

use crate::cache::Inner;
use crate::log::{Published, Purge, PurgeMode, Turn};
use crate::mode::LogState;
use crate::position::Position;
use crate::tag::Tag;
use crate::token::{Token, wall_ms};

impl Inner {
    pub(crate) async fn purge(&self, event_id: Uuid, tags: Vec<Tag>, commit_lsn: u64) -> Token {
        if tags.is_empty() {
            return Token::at(self.coherence.applied());
        }
        let commit_ms = wall_ms();
        let purge = Purge { event_id, commit_lsn, commit_ms, tags, mode: PurgeMode::Hard };
        let epoch = self.coherence.epoch();
        let connected = self.nats.connection_state() == async_nats::connection::State::Connected;
        if epoch != 0 && connected {
            let applied_before = self.coherence.applied();
            let published = self.log.publish_once(epoch, &purge);
            // Bounds the sending too, which waits while the client's buffer is full.
            match tokio::time::timeout(self.config.purge_deadline, published).await {
                Ok(Ok(published)) => {
                    self.coherence.raise(published.position, purge.tags.iter().copied());
                    self.counters.purges_published.add();
                    return if self.continues_the_log(applied_before, &published) {
                        Token::at(published.position)
                    } else {
                        Token::unpublished(published.position, commit_ms, purge.tags)
                    };
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        event.id = %event_id,
                        "the outbox will bring this purge",
                    );
                }
                Err(_) => tracing::warn!(event.id = %event_id, "the outbox will bring this purge"),
            }
        }
        // No position yet. It will be behind what is applied, so in this process the tags die now and stay
        // uncacheable until the log moves.
        let applied = self.coherence.applied();
        self.coherence.raise(applied.next(), purge.tags.iter().copied());
        self.counters.purges_unpublished.add();
        Token::unpublished(applied, commit_ms, purge.tags)
    }

    /// Whether the log a purge went to continues what had been applied here before. One that lost its end
    /// counts again from an earlier sequence, and until that is noticed a position on it would look as if it
    /// were applied.
    fn continues_the_log(&self, applied_before: Position, published: &Published) -> bool {
        let follows = published.position > applied_before || published.turn == Turn::Later;
        follows && self.coherence.log() == LogState::Attached
    }
}
