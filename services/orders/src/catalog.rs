//! Asking the catalog what goods cost now. The only way by which a price gets here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use proto::catalog::v1::{QuoteRequest, QuotedVariant};
use rls::Asserter;
use tonic::transport::Channel;

use crate::error::{Away, Error};

const AUDIENCE: &str = "catalog";
const DEADLINE: Duration = Duration::from_millis(500);
/// Of what comes to nothing without prices, such as a checkout.
const DEADLINE_FIRM: Duration = Duration::from_secs(1);
/// Variants that one question may name.
const BATCH: usize = 200;
/// Variants whose names are remembered.
const REMEMBERED_MAX: usize = 20_000;

/// The catalog, asked as a process of the product. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    client: CatalogServiceClient<Channel>,
    asserter: Asserter,
    remembered: Arc<Mutex<HashMap<i64, Arc<QuotedVariant>>>>,
}

/// What the catalog said about some variants just now; or, while it is away, what it said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotes {
    by_variant: BTreeMap<i64, Arc<QuotedVariant>>,
    away: bool,
}

impl Quotes {
    /// What the catalog said about the variant just now. None when it knows no such variant, or is away.
    pub(crate) fn confirmed(&self, variant_id: i64) -> Option<&QuotedVariant> {
        if self.away { None } else { self.remembered(variant_id) }
    }

    /// The same, be it from earlier: good for names and pictures, never for what is paid.
    pub(crate) fn remembered(&self, variant_id: i64) -> Option<&QuotedVariant> {
        self.by_variant.get(&variant_id).map(Arc::as_ref)
    }

    /// Whether the catalog did not answer.
    pub(crate) fn away(&self) -> bool {
        self.away
    }
}

impl Catalog {
    /// The catalog behind `channel`.
    pub(crate) fn new(channel: Channel, asserter: Asserter) -> Self {
        Self { client: CatalogServiceClient::new(channel), asserter, remembered: Arc::default() }
    }

    /// What the variants cost now.
    ///
    /// # Errors
    /// When the catalog does not answer within a second: then nothing may be sold.
    pub(crate) async fn quote(&self, variants: &[i64], request_id: &str) -> Result<Quotes, Error> {
        let quotes = self.ask(variants, request_id, DEADLINE_FIRM).await;
        if quotes.away { Err(Error::Away(Away::Catalog)) } else { Ok(quotes) }
    }

    /// What the variants cost now; from memory, and saying so, while the catalog is away.
    pub(crate) async fn quote_or_remember(&self, variants: &[i64], request_id: &str) -> Quotes {
        let mut quotes = self.ask(variants, request_id, DEADLINE).await;
        if quotes.away {
            let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            quotes.by_variant = variants
                .iter()
                .filter_map(|variant| Some((*variant, Arc::clone(remembered.get(variant)?))))
                .collect();
        }
        quotes
    }

    async fn ask(&self, variants: &[i64], request_id: &str, within: Duration) -> Quotes {
        let variants: Vec<i64> = variants.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let mut quotes = Quotes::default();
        for variant_ids in variants.chunks(BATCH) {
            let bearer = self.asserter.service(AUDIENCE, request_id);
            let question = QuoteRequest { variant_ids: variant_ids.to_vec() };
            let request = bootstrap::grpc::request(question, within, Some(&bearer));
            match self.client.clone().quote(request).await {
                Ok(answer) => {
                    let quoted = answer.into_inner().variants.into_iter();
                    quotes.by_variant.extend(quoted.map(|variant| (variant.variant_id, Arc::new(variant))));
                }
                Err(status) => {
                    tracing::warn!(code = ?status.code(), "the catalog did not quote");
                    return Quotes { by_variant: BTreeMap::new(), away: true };
                }
            }
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() + quotes.by_variant.len() > REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.extend(quotes.by_variant.iter().map(|(id, quote)| (*id, Arc::clone(quote))));
        drop(remembered);
        quotes
    }
}
