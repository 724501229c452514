//! One stream of one source: its name, and states as they come.

use std::{collections::BTreeMap, time::Duration};

use proto::metrics::v1::{ReportRequest, ReportResponse, SlotAck, report_request::Kind};
use tokio::time::{sleep, timeout};
use tonic::Streaming;

use crate::{
    clock,
    domain::{Definitions, Origin, Parsed, SourceId},
    error::Error,
    state::State,
};

/// Messages of one stream: an hour of backlog, and more flushes than a slot has.
const MESSAGES_MAX: u32 = 1_000;

/// How often sources should send the open slot.
const NEXT_FLUSH_MS: u32 = 2_000;

/// Time that the answer waits for Redis. Later the source asks again.
const SAVED_WITHIN: Duration = Duration::from_millis(500);

/// What a stream may still take when the process drains: the last words of sources that stop with us.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

pub(crate) async fn report(
    state: &State,
    mut stream: Streaming<ReportRequest>,
) -> Result<ReportResponse, Error> {
    let drained = async {
        state.drain.cancelled().await;
        sleep(DRAIN_GRACE).await;
    };
    tokio::pin!(drained);
    let mut source = None;
    let mut held = BTreeMap::new();
    let mut messages = 0;
    loop {
        let message = tokio::select! {
            message = stream.message() => message.map_err(|status| Error::Stream(Box::new(status)))?,
            () = &mut drained => return Err(Error::Draining),
        };
        let Some(message) = message else { break };
        messages += 1;
        if messages > MESSAGES_MAX {
            return Err(Error::TooMany { what: "messages in a stream", max: MESSAGES_MAX as usize });
        }
        match message.kind {
            Some(Kind::Hello(hello)) => {
                let definitions = Definitions::parse(hello)?;
                if source.is_some_and(|source| source != definitions.id) {
                    return Err(Error::Invalid("a stream has one source"));
                }
                source = Some(state.aggregator().define(definitions, clock::now_s())?);
            }
            Some(Kind::Slot(slot)) => {
                let source = source.ok_or(Error::Invalid("a stream starts with a hello"))?;
                let parsed = Parsed::parse(&slot)?;
                let version = state.aggregator().accept(source, parsed, clock::now_s(), Origin::Source)?;
                // A slot outside the hour is not acknowledged, and its source gives it up.
                held.extend(version.map(|version| (slot.slot_start_s, version)));
            }
            None => return Err(Error::Invalid("a message is a hello or a slot")),
        }
    }
    let Some(source) = source else { return Err(Error::Invalid("a stream starts with a hello")) };
    Ok(ReportResponse {
        acks: acknowledge(state, source, &held).await,
        next_flush_ms: NEXT_FLUSH_MS,
        server_unix_ns: clock::now_ns(),
    })
}

/// Waits for Redis as long as that makes sense, and says of each slot whether it is there.
async fn acknowledge(state: &State, source: SourceId, held: &BTreeMap<u32, u64>) -> Vec<SlotAck> {
    let acks = || -> Vec<SlotAck> {
        let aggregator = state.aggregator();
        let ack = |(&slot_start_s, &version)| SlotAck {
            slot_start_s,
            version,
            persisted: aggregator.is_saved(slot_start_s, source, version),
        };
        held.iter().map(ack).collect()
    };
    let mut rounds = state.saving.rounds();
    state.saving.hurry();
    let all_saved = async {
        while !acks().iter().all(|ack| ack.persisted) {
            if rounds.changed().await.is_err() || !state.saving.is_reachable() {
                return;
            }
        }
    };
    // Running out of time is an answer too: `persisted` is false then.
    let _ = timeout(SAVED_WITHIN, all_saved).await;
    acks()
}
