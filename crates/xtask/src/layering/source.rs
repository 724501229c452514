//! A file of the workspace, and the parts of it that rules look at.

/// A text file; `path` is relative to the root, with slashes.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether the name of the file or of one of its folders starts so.
    pub(super) fn has_part(&self, start: &str) -> bool {
        self.path.split('/').any(|part| part.starts_with(start))
    }

    /// A service's own code.
    pub(super) fn is_service_code(&self) -> bool {
        self.is_rust() && self.path.starts_with("services/") && self.path.contains("/src/")
    }

    pub(super) fn is_test(&self) -> bool {
        self.path.contains("tests/") || self.file_name() == "tests.rs"
    }

    /// Numbered lines of Rust code, without comments, up to the unit tests at the end of the file.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        // Unit tests, inside their module or in a file of their own.
        let inside = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let end = if self.file_name() == "tests.rs" { 0 } else { inside };
        let numbered = self.text[..end].lines().enumerate();
        numbered.map(|(index, line)| (index + 1, without_comment(line))).filter(|(_, line)| !line.is_empty())
    }

    /// Every numbered line.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The dependencies that a manifest names in sections whose name `section` accepts.
    pub(super) fn dependencies(&self, section: fn(&str) -> bool) -> Vec<(usize, &str)> {
        if self.file_name() != "Cargo.toml" {
            return Vec::new();
        }
        let mut inside = false;
        let mut found = Vec::new();
        for (number, line) in self.lines() {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                inside = section(name);
            } else if inside && !line.is_empty() && !line.starts_with('#') {
                let name = line.split(['.', '=', ' ']).next().unwrap_or(line);
                found.push((number, name.trim_matches('"')));
            }
        }
        found
    }
}

fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or(line) }
}

/// Whether `word` stands in `line` by itself, not as a part of a longer name.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_unit_tests_are_not_code() {
        let text =
            "//! doc\nuse a; // why\n// no\nlet url = \"http://x\";\n#[cfg(test)]\nmod tests {\n use b;\n}\n";
        let source = Source { path: "a.rs".to_owned(), text: text.to_owned() };
        assert_eq!(source.code().collect::<Vec<_>>(), [(2, "use a;"), (4, "let url = \"http://x\";")]);
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("let x: f64 = 1.0;", "f64"));
        assert!(has_word("f64::from(x)", "f64"));
        assert!(!has_word("let of64 = f64x();", "f64"));
    }

    #[test]
    fn manifests_are_read_by_section() {
        let text = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n# b\nc = \"1\"\n[dev-dependencies]\nd.workspace = true\n";
        let source = Source { path: "crates/x/Cargo.toml".to_owned(), text: text.to_owned() };
        assert_eq!(source.dependencies(|name| name == "dependencies"), [(4, "a"), (6, "c")]);
        assert_eq!(source.dependencies(|name| name.ends_with("dependencies")).len(), 3);
    }
}
