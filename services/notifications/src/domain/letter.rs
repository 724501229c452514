//! Mails: templates, what they need, and how they read.

mod html;
mod templates;

use std::collections::BTreeMap;

use self::templates::{ORDERS, TEMPLATES, Template};
use super::Invalid;
use super::locale::Locale;

pub(crate) use self::html::escape;

const VARIABLES_MAX: usize = 20;
const VALUE_CHARS_MAX: usize = 2_000;

/// A mail that can be written: its template exists and its variables are there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    template: &'static Template,
    locale: Locale,
    variables: BTreeMap<String, String>,
}

/// Variables hold links that are as good as passwords.
impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("template", &self.template.name).finish_non_exhaustive()
    }
}

/// A mail as it reads.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// As secret as the letter.
impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").finish_non_exhaustive()
    }
}

impl Letter {
    /// A letter of `template` in `locale`.
    ///
    /// `link` must be a web address; every value is one line. What the template does not use is left out.
    pub(crate) fn parse(
        template: &str,
        locale: Locale,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Invalid> {
        let Some(template) = TEMPLATES.iter().chain(&ORDERS).find(|known| known.name == template) else {
            return Err(Invalid::because("unknown_template", "template", "there is no such template"));
        };
        let mut kept = BTreeMap::new();
        for (number, (name, value)) in variables.into_iter().enumerate() {
            if number >= VARIABLES_MAX {
                return Err(Invalid::value("variables", format!("must be at most {VARIABLES_MAX}")));
            }
            if template.variables.contains(&name.as_str()) {
                let field = format!("variables.{name}");
                let value = super::line(&field, value, VALUE_CHARS_MAX)?;
                if name == "link" && !(value.starts_with("https://") || value.starts_with("http://")) {
                    return Err(Invalid::value(field, "must be a web address"));
                }
                kept.insert(name, value);
            }
        }
        if let Some(missing) = template.variables.iter().find(|name| !kept.contains_key(**name)) {
            let field = format!("variables.{missing}");
            return Err(Invalid::because("variable_missing", field, "is needed by the template"));
        }
        Ok(Self { template, locale, variables: kept })
    }

    /// The template's name.
    pub(crate) fn template(&self) -> &'static str {
        self.template.name
    }

    /// The language.
    pub(crate) fn locale(&self) -> Locale {
        self.locale
    }

    /// What fills the template's blanks.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The letter to `name`, from the shop at `shop_url`.
    pub(crate) fn render(&self, name: &str, shop_url: &str) -> Rendered {
        let words = match self.locale {
            Locale::PtBr => &self.template.pt_br,
            Locale::En => &self.template.en,
        };
        let (greeting, farewell) = match self.locale {
            Locale::PtBr => ("Olá, {name}!", "Mestres Café\n{shop_url}"),
            Locale::En => ("Hello, {name}!", "Mestres Café\n{shop_url}"),
        };
        let value = |blank: &str| match blank {
            "name" => Some(name),
            "shop_url" => Some(shop_url),
            other => self.variables.get(other).map(String::as_str),
        };
        let subject = fill(words.subject, &value, str::to_owned);
        let paragraphs: Vec<&str> =
            std::iter::once(greeting).chain(words.text.split("\n\n")).chain([farewell]).collect();
        let text = fill(&paragraphs.join("\n\n"), &value, str::to_owned) + "\n";
        let html = html::page(self.locale, &subject, &paragraphs, &value);
        Rendered { subject, text, html }
    }
}

/// `text` with each `{blank}` replaced once by its value; values are not looked into.
fn fill<'v>(text: &str, value: &impl Fn(&str) -> Option<&'v str>, dress: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((blank, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        filled.push_str(&dress(value(blank).unwrap_or_default()));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn complete(template: &Template) -> Vec<(String, String)> {
        template.variables.iter().map(|name| ((*name).to_owned(), format!("https://value/{name}"))).collect()
    }

    #[test]
    fn every_template_reads_in_both_languages_and_uses_all_its_variables() {
        for template in TEMPLATES.iter().chain(&ORDERS) {
            let mut texts = Vec::new();
            for locale in [Locale::PtBr, Locale::En] {
                let letter = Letter::parse(template.name, locale, complete(template)).expect("complete");
                let read = letter.render("Ana", "https://shop");
                assert!(!read.subject.is_empty() && !read.subject.contains(['{', '\n']), "{}", template.name);
                assert!(!read.text.contains('{') && !read.html.contains('{'), "{}", template.name);
                for name in template.variables {
                    let value = format!("https://value/{name}");
                    assert!(read.text.contains(&value) || read.subject.contains(&value), "{name}");
                }
                assert!(read.text.contains("Ana") && read.text.contains("https://shop"));
                texts.push(read.text);
            }
            assert_ne!(texts[0], texts[1], "{}", template.name);
        }
    }

    #[test]
    fn a_letter_that_cannot_be_written_is_refused() {
        let refused = |template: &str, pairs: &[(&str, &str)]| {
            let invalid = Letter::parse(template, Locale::En, variables(pairs)).expect_err("refused");
            (invalid.reason, invalid.field)
        };
        assert_eq!(refused("lottery", &[]), ("unknown_template", "template".into()));
        assert_eq!(refused("verify_email", &[]), ("variable_missing", "variables.link".into()));
        assert_eq!(
            refused("verify_email", &[("link", "javascript:alert(1)")]),
            ("invalid_value", "variables.link".into())
        );
        assert_eq!(
            refused("verify_email", &[("link", "https://x/\r\nBcc: all")]),
            ("invalid_value", "variables.link".into())
        );
    }

    #[test]
    fn values_are_neither_markup_nor_templates() {
        let letter = Letter::parse(
            "account_security",
            Locale::En,
            variables(&[("title", "<b>{shop_url}</b>"), ("body", "a \"quoted\" & <i>body</i>")]),
        )
        .expect("complete");
        let read = letter.render("<script>alert(1)</script>", "https://shop");
        assert_eq!(read.subject, "<b>{shop_url}</b>");
        assert!(read.text.contains("a \"quoted\" & <i>body</i>"));
        assert!(read.html.contains("&lt;b&gt;{shop_url}&lt;/b&gt;"));
        assert!(read.html.contains("a &quot;quoted&quot; &amp; &lt;i&gt;body&lt;/i&gt;"));
        assert!(!read.html.contains("<script") && !read.html.contains("<i>"));
    }
}
