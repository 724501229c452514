//! Lists and searches, newest first.

use serde_json::{Value, json};

use super::World;
use crate::error::Refusal;
use crate::form::Form;
use crate::intent::Intent;

const PAGE_DEFAULT: i64 = 10;
const PAGE_MAX: i64 = 100;
const CLOCK_MAY_GO_BACK_S: i64 = 60;

/// Which part of a list.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    limit: usize,
    /// After the object with this id.
    after: Option<String>,
    from: Option<i64>,
    until: Option<i64>,
}

/// Clauses that all have to hold: `metadata['order_id']:'17' AND status:'succeeded'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query(Vec<Clause>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Clause {
    Metadata(String, String),
    Status(String),
}

impl Page {
    pub(crate) fn parse(form: &Form) -> Result<Self, Refusal> {
        let limit = form.integer("limit")?.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Refusal::parameter("limit", "parameter_invalid_integer", "limit is from 1 to 100."));
        }
        let above = form.integer("created[gt]")?.map(|bound| bound.saturating_add(1));
        let below = form.integer("created[lt]")?.map(|bound| bound.saturating_sub(1));
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or(1),
            after: form.get("starting_after").or(form.get("page")).map(str::to_owned),
            from: form.integer("created[gte]")?.max(above),
            until: [form.integer("created[lte]")?, below].into_iter().flatten().min(),
        })
    }

    /// Whether what is older than something made at `created` may be on the page.
    fn may_precede(&self, created: i64) -> bool {
        self.from.is_none_or(|from| created >= from - CLOCK_MAY_GO_BACK_S)
    }

    fn holds(&self, created: i64) -> bool {
        self.from.is_none_or(|from| created >= from) && self.until.is_none_or(|until| created <= until)
    }
}

impl Query {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let clauses: Option<Vec<Clause>> =
            text.split(" AND ").map(|clause| Clause::parse(clause.trim())).collect();
        clauses.filter(|clauses| clauses.len() <= 10).map(Self).ok_or_else(|| {
            Refusal::parameter("query", "parameter_invalid", "We were unable to parse your search query.")
        })
    }

    fn holds(&self, intent: &Intent) -> bool {
        self.0.iter().all(|clause| match clause {
            Clause::Metadata(key, value) => intent.metadata.get(key) == Some(value),
            Clause::Status(status) => intent.status.as_str() == status,
        })
    }

    /// The order that all results are for, if there is one.
    fn order_id(&self) -> Option<&str> {
        self.0.iter().find_map(|clause| match clause {
            Clause::Metadata(key, value) if key == "order_id" => Some(value.as_str()),
            Clause::Metadata(..) | Clause::Status(_) => None,
        })
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let (field, value) = text.split_once("]:").map_or_else(
            || text.split_once(':').map(|(field, value)| (field.to_owned(), value)),
            |(field, value)| Some((format!("{field}]"), value)),
        )?;
        let value = unquoted(value)?.to_owned();
        if field == "status" {
            return Some(Self::Status(value));
        }
        let key = field.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some(Self::Metadata(unquoted(key)?.to_owned(), value))
    }
}

fn unquoted(text: &str) -> Option<&str> {
    let inner = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))?;
    (!inner.contains(['\'', '"'])).then_some(inner)
}

impl World {
    /// `GET /v1/payment_intents`.
    pub(crate) fn list_intents(&self, page: &Page, render: fn(&Intent) -> Value) -> Result<Value, Refusal> {
        let before = self.place_of(page)?;
        let newest_first = self.intents.range(..before).rev().map(|(_, intent)| intent);
        // Clocks that were set back are no reason to look through everything.
        let newest_first = newest_first.take_while(|intent| page.may_precede(intent.created));
        let (data, has_more) = taken(newest_first.filter(|intent| page.holds(intent.created)), page.limit);
        let data: Vec<Value> = data.into_iter().map(render).collect();
        Ok(json!({ "object": "list", "url": "/v1/payment_intents", "has_more": has_more, "data": data }))
    }

    /// `GET /v1/payment_intents/search`.
    ///
    /// Intents made after `indexed_until` are not found yet.
    pub(crate) fn search_intents(
        &self,
        query: &Query,
        page: &Page,
        indexed_until: i64,
        render: fn(&Intent) -> Value,
    ) -> Result<Value, Refusal> {
        let before = self.place_of(page)?;
        let is_found = |intent: &Intent| intent.created <= indexed_until && query.holds(intent);
        let (found, has_more) = match query.order_id() {
            Some(order) => {
                let serials = self.by_order.get(order).map_or(&[][..], Vec::as_slice);
                let intents = serials.iter().rev().filter(|serial| **serial < before);
                let intents = intents.filter_map(|serial| self.intents.get(serial));
                taken(intents.filter(|intent| is_found(intent)), page.limit)
            }
            None => {
                let intents = self.intents.range(..before).rev().map(|(_, intent)| intent);
                taken(intents.filter(|intent| is_found(intent)), page.limit)
            }
        };
        let next = found.last().filter(|_| has_more).map(|intent| &intent.id);
        let data: Vec<Value> = found.iter().map(|intent| render(intent)).collect();
        Ok(json!({
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "has_more": has_more,
            "next_page": next,
            "data": data,
        }))
    }

    /// `GET /v1/refunds`.
    pub(crate) fn list_refunds(&self, page: &Page, intent: Option<&str>) -> Result<Value, Refusal> {
        let before = match &page.after {
            None => u64::MAX,
            Some(id) => {
                self.refund_place(id).ok_or_else(|| Refusal::no_such("refund", "starting_after", id))?
            }
        };
        let newest_first = self.refund_orders.range(..before).rev().filter_map(|(serial, owner)| {
            let owner = self.intents.get(owner)?;
            let refund = owner.refunds.iter().find(|refund| refund.serial == *serial)?;
            Some((owner, refund))
        });
        let wanted = newest_first
            .filter(|(owner, refund)| page.holds(refund.created) && intent.is_none_or(|id| owner.id == id));
        let (found, has_more) = taken(wanted, page.limit);
        let data: Vec<Value> = found.into_iter().map(|(owner, refund)| refund.json(owner)).collect();
        Ok(json!({ "object": "list", "url": "/v1/refunds", "has_more": has_more, "data": data }))
    }

    /// One refund.
    pub(crate) fn refund(&self, id: &str) -> Option<Value> {
        let owner = self.intents.get(self.refund_orders.get(&self.refund_place(id)?)?)?;
        owner.refunds.iter().find(|refund| refund.id == id).map(|refund| refund.json(owner))
    }

    /// The intent that a refund belongs to.
    pub(crate) fn intent_of_refund(&self, id: &str) -> Option<&str> {
        let owner = self.refund_orders.get(&self.refund_place(id)?)?;
        self.intents.get(owner).map(|intent| intent.id.as_str())
    }

    fn refund_place(&self, id: &str) -> Option<u64> {
        let all = self.intents.values().flat_map(|intent| &intent.refunds);
        all.into_iter().find(|refund| refund.id == id).map(|refund| refund.serial)
    }

    fn place_of(&self, page: &Page) -> Result<u64, Refusal> {
        match &page.after {
            None => Ok(u64::MAX),
            Some(id) => self
                .by_id
                .get(id)
                .copied()
                .ok_or_else(|| Refusal::no_such("payment_intent", "starting_after", id)),
        }
    }
}

fn taken<T>(mut all: impl Iterator<Item = T>, limit: usize) -> (Vec<T>, bool) {
    let taken: Vec<T> = all.by_ref().take(limit).collect();
    let has_more = all.next().is_some();
    (taken, has_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_the_provider_words_them() {
        let metadata = |key: &str, value: &str| Clause::Metadata(key.to_owned(), value.to_owned());
        let query = |text| Query::parse(text).expect("a query");
        assert_eq!(query("metadata['order_id']:'17'"), Query(vec![metadata("order_id", "17")]));
        assert_eq!(
            query(r#"metadata["order_id"]:"17" AND status:'succeeded'"#),
            Query(vec![metadata("order_id", "17"), Clause::Status("succeeded".to_owned())])
        );
        for nonsense in
            ["", "order_id:17", "metadata['a':'b'", "metadata['a']:'b' OR status:'x'", "metadata[a]:b"]
        {
            assert!(Query::parse(nonsense).is_err(), "{nonsense}");
        }
    }
}
