//! What `mestres up` says: each line when it has become true, aligned for people or as JSON for programs.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One fact about the shop. The state file keeps those of the start, so that a second `up` can tell them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(crate) enum Line {
    /// The heading.
    Shop { version: String },
    /// Something that takes a while has begun, or something differs from the usual.
    Note { text: String },
    /// A server of the data plane accepts connections.
    Data { server: String, version: String, address: String, origin: String, took_ms: u64 },
    /// Every database has this version's tables, and the demo shop is in.
    Schema { applied: usize, products: usize, categories: usize, took_ms: u64 },
    /// How many services answer that they are ready.
    Services { names: Vec<String>, healthy: usize, took_ms: u64 },
    /// Where something is.
    Address { what: String, address: String, note: String },
    /// A command worth trying.
    Try { command: String, note: String },
    /// Everything above is true.
    Ready { took_ms: u64 },
    /// Instead of `Ready`, when another process runs the shop.
    Running { pid: u32 },
    /// A service ended by itself.
    Crashed { service: String, why: String, last_lines: Vec<String>, log: String, retry_ms: u64 },
    /// A service that had crashed is ready again.
    Recovered { service: String, took_ms: u64 },
    /// Everything is being stopped.
    Stopping,
    /// Nothing is left running.
    Stopped { took_ms: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Colour,
    Json,
}

impl Style {
    /// Colours only for somebody who looks at a terminal and has not declined them (`NO_COLOR`).
    pub(crate) fn for_people() -> Self {
        let declined = bootstrap::config::optional("NO_COLOR").is_some()
            || bootstrap::config::optional("TERM").is_some_and(|terminal| terminal == "dumb");
        if std::io::stdout().is_terminal() && !declined { Self::Colour } else { Self::Plain }
    }
}

#[derive(Debug)]
pub(crate) struct Table {
    style: Style,
    /// The section of the line before, whose name is not repeated.
    section: &'static str,
}

impl Table {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, section: "" }
    }

    /// Prints the line. A reader that has gone away does not stop the shop.
    pub(crate) fn show(&mut self, line: &Line) {
        let text = self.render(line);
        let mut out = std::io::stdout().lock();
        let _reader_gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn render(&mut self, line: &Line) -> String {
        if self.style == Style::Json {
            let object = serde_json::to_string(line).expect("a line is made of strings and numbers");
            return object + "\n";
        }
        match line {
            Line::Shop { version } => {
                self.section = "";
                let title = self.bold(&format!("Mestres Café {version} · development"));
                format!("  {title}      loopback only, not for production\n\n")
            }
            Line::Note { text } => self.row("", &self.dim(text)),
            Line::Data { server, version, address, origin, took_ms } => {
                let ready = self.green("ready");
                let took = seconds(*took_ms);
                self.row(
                    "data",
                    &format!("{server:<9}{version:<8} {ready} {took:>6}   {address:<17} ({origin})"),
                )
            }
            Line::Schema { applied, products, categories, took_ms } => {
                let migrations = match applied {
                    0 => "up to date".to_owned(),
                    1 => "1 migration applied".to_owned(),
                    many => format!("{many} migrations applied"),
                };
                let took = seconds(*took_ms);
                let shop = format!("{migrations}, demo shop: {products} products, {categories} categories");
                self.row("schema", &format!("{shop}   {took}"))
            }
            Line::Services { names, healthy, took_ms } => {
                let count = format!("{healthy}/{} healthy", names.len());
                let count = if *healthy == names.len() { self.green(&count) } else { self.red(&count) };
                let took = if *took_ms == 0 { String::new() } else { format!("   {}", seconds(*took_ms)) };
                self.row("services", &format!("{}      {count}{took}", names.join(" ")))
            }
            Line::Address { what, address, note } => {
                self.aside("addresses", &format!("{what:<16}{address}"), 58, note)
            }
            Line::Try { command, note } => {
                let first = if self.section == "try" { "   " } else { "try" };
                self.aside("try", &format!("{first}   {command}"), 58, note)
            }
            Line::Ready { took_ms } => {
                self.section = "";
                let ready = self.green(&format!("ready in {}", seconds(*took_ms)));
                format!("\n  stop  {:<54}{ready}\n", "Ctrl-C")
            }
            Line::Running { pid } => {
                self.section = "";
                let running = self.green("already running");
                let stop = format!("Ctrl-C where it was started, or kill {pid}");
                format!("\n  stop  {stop:<54}{running}\n")
            }
            Line::Crashed { service, why, last_lines, log, retry_ms } => {
                self.section = "";
                let what = self.red(&format!("{service} {why}"));
                let when = match retry_ms {
                    0 => "now".to_owned(),
                    ms => format!("in {:?}", Duration::from_millis(*ms)),
                };
                let mut text = format!("\n  {what}, starts again {when}; log: {log}\n");
                for line in last_lines {
                    text += &format!("    {}\n", self.dim(line));
                }
                text
            }
            Line::Recovered { service, took_ms } => {
                self.section = "";
                let what = self.green(&format!("{service} is healthy again"));
                format!("  {what}, after {}\n", seconds(*took_ms))
            }
            Line::Stopping => {
                self.section = "";
                "\n  stopping: gateways, services, data plane\n".to_owned()
            }
            Line::Stopped { took_ms } => {
                format!("  stopped in {}, nothing is left running\n", seconds(*took_ms))
            }
        }
    }

    /// A line of the upper part, with the section's name in front when it is the section's first.
    fn row(&mut self, section: &'static str, text: &str) -> String {
        let name = if section == self.section { "" } else { section };
        self.section = section;
        let name = self.bold(&format!("{name:<10}"));
        format!("  {name}{text}\n")
    }

    /// A line of the lower part, whose sections are set apart by an empty line.
    fn aside(&mut self, section: &'static str, text: &str, width: usize, note: &str) -> String {
        let gap = if section == self.section { "" } else { "\n" };
        self.section = section;
        if note.is_empty() {
            return format!("{gap}  {text}\n");
        }
        let note = self.dim(note);
        format!("{gap}  {text:<width$}  {note}\n")
    }

    fn bold(&self, text: &str) -> String {
        self.coloured("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.coloured("2", text)
    }

    fn green(&self, text: &str) -> String {
        self.coloured("32", text)
    }

    fn red(&self, text: &str) -> String {
        self.coloured("31", text)
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        match self.style {
            Style::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
            Style::Plain | Style::Json => text.to_owned(),
        }
    }
}

/// Whole milliseconds, for a line.
pub(crate) fn took_ms(since: std::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn seconds(ms: u64) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(server: &str, address: &str) -> Line {
        Line::Data {
            server: server.to_owned(),
            version: "18.6".to_owned(),
            address: address.to_owned(),
            origin: "tool folder".to_owned(),
            took_ms: 140,
        }
    }

    fn start() -> Vec<Line> {
        vec![
            Line::Shop { version: "0.1.0".to_owned() },
            data("postgres", "127.0.0.1:55432"),
            data("nats", "127.0.0.1:54222"),
            Line::Schema { applied: 2, products: 128, categories: 14, took_ms: 1_290 },
            Line::Services {
                names: vec!["catalog".to_owned(), "gateway".to_owned()],
                healthy: 2,
                took_ms: 600,
            },
            Line::Address {
                what: "Shop API".to_owned(),
                address: "http://localhost:3000/api/v1/products".to_owned(),
                note: "pt-BR, en".to_owned(),
            },
            Line::Try {
                command: "curl -i localhost:3000".to_owned(),
                note: "look at X-Cache-Hit".to_owned(),
            },
            Line::Ready { took_ms: 2_050 },
        ]
    }

    fn rendered(style: Style) -> String {
        let mut table = Table::new(style);
        start().iter().map(|line| table.render(line)).collect()
    }

    #[test]
    fn people_see_an_aligned_table_that_names_each_section_once() {
        let expected = "  Mestres Café 0.1.0 · development      loopback only, not for production

  data      postgres 18.6     ready   0.1s   127.0.0.1:55432   (tool folder)
            nats     18.6     ready   0.1s   127.0.0.1:54222   (tool folder)
  schema    2 migrations applied, demo shop: 128 products, 14 categories   1.2s
  services  catalog gateway      2/2 healthy   0.6s

  Shop API        http://localhost:3000/api/v1/products       pt-BR, en

  try   curl -i localhost:3000                                look at X-Cache-Hit

  stop  Ctrl-C                                                ready in 2.0s
";
        assert_eq!(rendered(Style::Plain), expected);
    }

    #[test]
    fn colours_change_nothing_but_the_colours() {
        let coloured = rendered(Style::Colour);
        let codes = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"];
        let plain = codes.iter().fold(coloured.clone(), |text, code| text.replace(code, ""));

        assert_ne!(coloured, plain);
        assert_eq!(plain, rendered(Style::Plain));
    }

    #[test]
    fn programs_get_one_object_a_line_that_reads_back_to_the_same_facts() {
        let text = rendered(Style::Json);
        let facts: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(facts, start());
        assert!(text.starts_with(r#"{"line":"shop","version":"0.1.0"}"#), "{text}");
    }

    #[test]
    fn a_crash_says_why_and_shows_the_last_lines() {
        let mut table = Table::new(Style::Plain);
        let text = table.render(&Line::Crashed {
            service: "catalog".to_owned(),
            why: "ended with exit status: 1".to_owned(),
            last_lines: vec!["panicked at src/app.rs".to_owned()],
            log: ".mestres/logs/catalog.log".to_owned(),
            retry_ms: 200,
        });
        assert_eq!(
            text,
            "\n  catalog ended with exit status: 1, starts again in 200ms; log: .mestres/logs/catalog.log\n    \
             panicked at src/app.rs\n"
        );
    }
}
