//! Parameters as Stripe's clients send them: form-encoded, with brackets for what is nested.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use crate::error::Refusal;

const PAIRS_MAX: usize = 200;
const METADATA_MAX: usize = 50;
const METADATA_KEY_MAX: usize = 40;
const METADATA_VALUE_MAX: usize = 500;

/// The parameters of one request, in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body or a query.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PAIRS_MAX {
                return Err(Refusal::invalid("Received too many parameters."));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decoded(name)?, decoded(value)?));
        }
        Ok(Self(pairs))
    }

    /// The value of `name`; an empty one counts as absent, as it does there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(each, _)| each == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok();
        number.map(Some).ok_or_else(|| {
            Refusal::parameter(name, "parameter_invalid_integer", format!("Invalid integer: {text}"))
        })
    }

    /// Either of two words.
    pub(crate) fn boolean(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::parameter(
                name,
                "parameter_invalid_boolean",
                format!("Invalid boolean: {other}"),
            )),
        }
    }

    /// The members of `name[]`, `name[0]` and so on.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let members = self.0.iter().filter(|(each, _)| {
            inside(each, name).is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
        });
        members.map(|(_, value)| value.clone()).collect()
    }

    /// `metadata[…]`, within the limits of what may be kept.
    pub(crate) fn metadata(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let mut metadata = BTreeMap::new();
        for (name, value) in &self.0 {
            let Some(key) = inside(name, "metadata") else { continue };
            if key.is_empty() || key.chars().count() > METADATA_KEY_MAX {
                return Err(Refusal::parameter(
                    name,
                    "parameter_invalid",
                    "Metadata keys have 1 to 40 characters.",
                ));
            }
            if value.chars().count() > METADATA_VALUE_MAX {
                return Err(Refusal::parameter(
                    name,
                    "parameter_invalid",
                    "Metadata values can have up to 500 characters.",
                ));
            }
            metadata.insert(key.to_owned(), value.clone());
        }
        if metadata.len() > METADATA_MAX {
            return Err(Refusal::parameter(
                "metadata",
                "parameter_invalid",
                "You can have at most 50 metadata keys.",
            ));
        }
        Ok(metadata)
    }

    /// Refuses what is not among `known`: a misspelt parameter would otherwise be ignored here and refused there.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let stranger =
            self.0.iter().map(|(name, _)| root(name)).find(|name| *name != "expand" && !known.contains(name));
        match stranger {
            None => Ok(()),
            Some(name) => Err(Refusal::parameter(
                name,
                "parameter_unknown",
                format!("Received unknown parameter: {name}"),
            )),
        }
    }

    /// Whether `expand[]` asks for the charge instead of its id.
    pub(crate) fn expands_charge(&self) -> bool {
        self.list("expand").iter().any(|path| path == "latest_charge" || path.ends_with(".latest_charge"))
    }

    /// The same for the same parameters, whatever their order.
    pub(crate) fn fingerprint(&self) -> String {
        let mut sorted: Vec<&(String, String)> = self.0.iter().collect();
        sorted.sort();
        let mut hash = Sha256::new();
        for (name, value) in sorted {
            for text in [name, value] {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What stands in the brackets of `name[…]`.
fn inside<'a>(parameter: &'a str, name: &str) -> Option<&'a str> {
    parameter.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']').filter(|key| !key.contains(['[', ']']))
}

fn root(parameter: &str) -> &str {
    parameter.split('[').next().unwrap_or(parameter)
}

fn decoded(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_not_utf8| Refusal::invalid("Parameters must be valid UTF-8."))?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text).expect("a form")
    }

    #[test]
    fn brackets_make_lists_and_maps() {
        let form = form(
            "amount=4990&payment_method_types[]=card&payment_method_types%5B1%5D=pix&metadata[order_id]=17\
             &metadata%5Bpayment_id%5D=a+b&payment_method_options[pix][expires_after_seconds]=1800",
        );
        assert_eq!(form.integer("amount").expect("a number"), Some(4990));
        assert_eq!(form.list("payment_method_types"), ["card", "pix"]);
        let metadata = form.metadata().expect("metadata");
        assert_eq!(metadata["order_id"], "17");
        assert_eq!(metadata["payment_id"], "a b");
        let expires = form.integer("payment_method_options[pix][expires_after_seconds]");
        assert_eq!(expires.expect("a number"), Some(1800));
        let known = ["amount", "metadata", "payment_method_options", "payment_method_types"];
        assert!(form.only(&known).is_ok());
        assert!(form.only(&known[..3]).is_err());
    }

    #[test]
    fn the_order_of_parameters_does_not_matter_but_their_values_do() {
        let one = form("amount=1&currency=brl").fingerprint();
        assert_eq!(form("currency=brl&amount=1").fingerprint(), one);
        assert_ne!(form("currency=brl&amount=2").fingerprint(), one);
        assert_ne!(form("currency=brlamount&=1").fingerprint(), one);
    }

    #[test]
    fn what_is_no_number_or_too_much_is_refused() {
        assert!(form("amount=1.5").integer("amount").is_err());
        assert!(form("amount=99999999999999999999").integer("amount").is_err());
        assert!(form(&format!("metadata[a]={}", "x".repeat(501))).metadata().is_err());
        assert!(form("confirm=yes").boolean("confirm").is_err());
        assert!(Form::parse("a=%ff").is_err());
        assert!(Form::parse(&"a=1&".repeat(201)).is_err());
    }
}
