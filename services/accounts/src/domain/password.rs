//! Which passwords there can be, and which may be chosen.
//!
//! Length is what counts (NIST SP 800-63B-4, 3.1.1.2): 15 characters, or 8 beside a second factor, and no rule
//! about kinds of characters. What attackers try first is refused: words and passwords in common use, patterns,
//! and what is known about the user, in any combination that leaves too little over.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::Invalid;

/// Of any password; longer ones are refused before anything is computed.
const CHARS_MAX: usize = 128;
/// Of a chosen one that stands alone.
const CHARS_MIN: usize = 15;
/// Of a chosen one beside a second factor.
const CHARS_MIN_WITH_SECOND_FACTOR: usize = 8;
/// A password must hold so many characters that no list, pattern or personal fact explains.
const UNEXPLAINED_MIN: usize = 4;
/// A password that repeats itself must repeat something at least this long.
const PERIOD_MIN: usize = 8;
/// Shorter words of lists are parts of too many other words.
const WORD_CHARS_MIN: usize = 4;
const PERSONAL_WORD_CHARS_MIN: usize = 3;
/// A run of neighbours (`abc`, `321`, `aaa`, `qwe`) is a pattern from this length.
const RUN_CHARS_MIN: usize = 3;

/// Words and passwords in common use, one per line.
const COMMON: &str = include_str!("../../data/common_passwords.txt");
/// Rows of keyboards, walked in either direction.
const ROWS: [&str; 6] =
    ["qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890", "qazwsxedcrfvtgbyhnujmikolp", "azertyuiop"];

static COMMON_WORDS: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    let lines = COMMON.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|word| word.chars().collect()).collect()
});

/// A password: not empty, at most 128 characters, normalised (NFKC) so that it is the same from every keyboard.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

/// A password never shows.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Whether a password stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondFactor {
    Enabled,
    None,
}

impl SecondFactor {
    pub(crate) fn of(totp_enabled: bool) -> Self {
        if totp_enabled { Self::Enabled } else { Self::None }
    }
}

/// Whether a password is long enough to stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordLength {
    Short,
    Full,
}

/// What everybody can know about whoever chooses a password.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chooser<'a> {
    pub(crate) email: &'a str,
    pub(crate) name: &'a str,
    pub(crate) second_factor: SecondFactor,
}

impl Password {
    /// Reads a password as somebody types it; whether it is right or good is another question.
    pub(crate) fn given(field: &str, text: &str) -> Result<Self, Invalid> {
        let too_long = || {
            Invalid::because("password_too_long", field, format!("must have at most {CHARS_MAX} characters"))
        };
        if text.is_empty() {
            return Err(Invalid::value(field, "must be given"));
        }
        // A character can become several: counted before, so that nothing long is normalised, and after.
        if text.chars().take(CHARS_MAX + 1).count() > CHARS_MAX {
            return Err(too_long());
        }
        let normal: String = text.nfkc().collect();
        if normal.chars().count() > CHARS_MAX {
            return Err(too_long());
        }
        Ok(Self(normal))
    }

    /// Refuses what its chooser should not have.
    pub(crate) fn check_choice(&self, field: &str, chooser: Chooser<'_>) -> Result<(), Invalid> {
        let chars_min = match chooser.second_factor {
            SecondFactor::Enabled => CHARS_MIN_WITH_SECOND_FACTOR,
            SecondFactor::None => CHARS_MIN,
        };
        if self.0.chars().count() < chars_min {
            let detail = format!("must have at least {chars_min} characters");
            return Err(Invalid::because("password_too_short", field, detail));
        }
        if unexplained(&self.0, &personal_words(chooser)) < UNEXPLAINED_MIN {
            let detail =
                "is among those that are guessed first: common words, patterns, your name or address";
            return Err(Invalid::because("password_common", field, detail));
        }
        Ok(())
    }

    /// Whether it is long enough to stand alone.
    pub(crate) fn length(&self) -> PasswordLength {
        if self.0.chars().count() < CHARS_MIN { PasswordLength::Short } else { PasswordLength::Full }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The parts of a name and of a mail address.
fn personal_words(chooser: Chooser<'_>) -> Vec<Vec<char>> {
    let (local, domain) = chooser.email.rsplit_once('@').unwrap_or((chooser.email, ""));
    let parts =
        |text: &str| -> Vec<String> { text.split(|c: char| !c.is_alphanumeric()).map(plain).collect() };
    let mut words = parts(chooser.name);
    words.extend(parts(local));
    words.push(plain(local));
    // The last label is a country or a trade.
    words.extend(domain.rsplit_once('.').map(|(labels, _)| parts(labels)).unwrap_or_default());
    let words = words.into_iter().map(|word| word.chars().collect::<Vec<_>>());
    words.filter(|word| word.len() >= PERSONAL_WORD_CHARS_MIN).collect()
}

/// Lower case without accents.
fn plain(text: &str) -> String {
    text.to_lowercase().nfd().filter(|c| !is_combining_mark(*c)).collect()
}

/// How many characters are left over when all that is guessed first is taken away as well as it can be.
fn unexplained(password: &str, personal: &[Vec<char>]) -> usize {
    let text: Vec<char> = plain(password).chars().collect();
    let period = period(&text);
    if period < text.len() && period < PERIOD_MIN {
        return 0;
    }
    // Saying something twice adds nothing.
    let text = &text[..period];

    // fewest[i]: characters unexplained among the first i.
    let mut fewest = vec![usize::MAX; text.len() + 1];
    fewest[0] = 0;
    for start in 0..text.len() {
        let so_far = fewest[start];
        let repeated_separator = !text[start].is_alphanumeric() && text[..start].contains(&text[start]);
        let alone = so_far + usize::from(!repeated_separator);
        fewest[start + 1] = fewest[start + 1].min(alone);
        let mut explain = |length: usize| {
            fewest[start + length] = fewest[start + length].min(so_far);
        };
        let rest = &text[start..];
        for word in COMMON_WORDS.iter().filter(|word| word.len() >= WORD_CHARS_MIN).chain(personal) {
            if begins_with(rest, word) {
                explain(word.len());
            }
        }
        for length in RUN_CHARS_MIN..=run(rest) {
            explain(length);
        }
        if is_year(rest) {
            explain(4);
        }
    }
    fewest[text.len()]
}

/// The length of what the text repeats, its own length if nothing. The last repetition may be cut short.
fn period(text: &[char]) -> usize {
    (1..=text.len() / 2).find(|&period| text[period..] == text[..text.len() - period]).unwrap_or(text.len())
}

/// Whether `text` begins with `word`, also when letters are written as the digits and signs that look like them.
fn begins_with(text: &[char], word: &[char]) -> bool {
    text.len() >= word.len() && text.iter().zip(word).all(|(&written, &meant)| looks_like(written, meant))
}

fn looks_like(written: char, meant: char) -> bool {
    written == meant
        || matches!(
            (written, meant),
            ('0', 'o')
                | ('1' | '!' | '|', 'i' | 'l')
                | ('3', 'e')
                | ('4' | '@', 'a')
                | ('5' | '$', 's')
                | ('7' | '+', 't')
                | ('8', 'b')
                | ('9', 'g')
        )
}

/// How many of the first characters are one repeated, or neighbours in the alphabet or on a keyboard.
fn run(text: &[char]) -> usize {
    let by_step = [-1, 0, 1].map(|step: i32| {
        let next = |pair: &[char]| pair[1] as i32 - pair[0] as i32 == step;
        1 + text.windows(2).take_while(|pair| next(pair)).count()
    });
    let by_row = ROWS.map(|row| {
        let row: Vec<char> = row.chars().collect();
        let place = |c: char| row.iter().position(|key| *key == c);
        let Some(first) = text.first().and_then(|c| place(*c)) else { return 0 };
        let ahead = text.iter().enumerate().take_while(|(at, c)| place(**c) == Some(first + at)).count();
        let back = text.iter().enumerate().take_while(|(at, c)| place(**c) == first.checked_sub(*at)).count();
        ahead.max(back)
    });
    by_step.into_iter().chain(by_row).max().unwrap_or(0).min(text.len())
}

fn is_year(text: &[char]) -> bool {
    matches!(text, ['1', '9', a, b, ..] | ['2', '0', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Chooser<'_> = Chooser {
        email: "ana.souza@torrefacao.com.br",
        name: "Ana Luíza Prado",
        second_factor: SecondFactor::None,
    };

    fn reason(text: &str, chooser: Chooser<'_>) -> &'static str {
        let checked =
            Password::given("password", text).and_then(|given| given.check_choice("password", chooser));
        checked.map_or_else(|invalid| invalid.reason, |()| "good")
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_on_both_sides() {
        let emoji = "☕🫘🌱🔥🥄🧊🍫🌰🍋🍒🍯🥜🌾🍂🪵";
        assert_eq!(emoji.chars().count(), 15);
        assert_eq!(reason(emoji, ALONE), "good");
        assert_eq!(reason(&emoji.chars().skip(1).collect::<String>(), ALONE), "password_too_short");
        let varied = ('!'..).step_by(7).filter(|c| c.nfkc().eq([*c]));
        let long: String = varied.take(126).collect::<String>() + "\0 ";
        assert_eq!(long.chars().count(), 128);
        assert_eq!(reason(&long, ALONE), "good");
        assert_eq!(reason(&format!("{long}x"), ALONE), "password_too_long");
        assert_eq!(reason(&"a".repeat(1024 * 1024), ALONE), "password_too_long");
        // One character that becomes eighteen.
        assert_eq!(reason(&"\u{fdfa}".repeat(20), ALONE), "password_too_long");
        assert_eq!(reason("", ALONE), "invalid_value");
    }

    #[test]
    fn a_second_factor_allows_eight_characters() {
        let with_factor = Chooser { second_factor: SecondFactor::Enabled, ..ALONE };
        assert_eq!(reason("k7#vQ2!z", ALONE), "password_too_short");
        assert_eq!(reason("k7#vQ2!z", with_factor), "good");
        assert_eq!(reason("k7#vQ2!", with_factor), "password_too_short");
        assert_eq!(reason("12345678", with_factor), "password_common");
        assert_eq!(reason("flamengo1", with_factor), "password_common");
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for guessed in [
            "mestrescafe2026",
            "MestresCafé2026!",
            "m3str3sc4f3!2026",
            "passwordpassword",
            "P@ssw0rd-P@ssw0rd-2025",
            "123456789012345",
            "qwertyuiopasdfgh",
            "abcdefghijklmnop",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "senha123senha456",
            "iloveyou-iloveyou-1",
            "anasouza19851985",
            "torrefacao-2024-ana",
            "AnaLuizaPrado2026",
            "zyxwvutsrqponmlk",
            "1q2w3e4r5t6y7u8i",
        ] {
            assert_eq!(reason(guessed, ALONE), "password_common", "{guessed}");
        }
    }

    #[test]
    fn what_only_holds_a_common_word_is_not() {
        for fine in [
            "correct horse battery staple",
            "o rio corre para o mar devagar",
            "x9$kLm2@pQr7!vTz",
            "jabuticaba no quintal da vizinha",
            "senha do portao azul celeste",
            "739105826401957",
        ] {
            assert_eq!(reason(fine, ALONE), "good", "{fine}");
        }
    }

    #[test]
    fn the_same_password_from_another_keyboard_is_the_same() {
        let composed = Password::given("password", "caf\u{e9} da manh\u{e3} \u{fb01}m").unwrap();
        let decomposed = Password::given("password", "cafe\u{301} da manha\u{303} fim").unwrap();
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn the_list_is_in_the_form_that_is_compared() {
        for word in COMMON_WORDS.iter() {
            let word: String = word.iter().collect();
            assert_eq!(plain(&word), word);
            assert!(word.len() >= WORD_CHARS_MIN, "{word}");
        }
        assert!(COMMON_WORDS.len() > 500, "{}", COMMON_WORDS.len());
    }
}
