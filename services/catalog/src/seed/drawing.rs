//! The drawing of a coffee: a bag in front of its region's hills, as SVG.
//!
//! A drawing depends on region, roast and process alone, so that a catalog of any size shares a few
//! hundred of them.

use std::fmt::Write as _;

/// Width and height of every drawing, in CSS pixels.
pub(super) const SIZE_PX: i32 = 800;

/// What a drawing shows.
pub(super) struct Scene<'a> {
    /// Printed on the bag, for example the region or the blend.
    pub(super) title: &'a str,
    pub(super) subtitle: &'a str,
    /// Index into [`super::lots::ROASTS`].
    pub(super) roast: usize,
    /// Chooses sky, sun and hills.
    pub(super) seed: usize,
}

/// Sky, far hills, near hills.
const LANDSCAPES: [[&str; 3]; 7] = [
    ["#fbe3c2", "#d9a36a", "#8c6b3f"],
    ["#dcebf2", "#86a88f", "#456a4c"],
    ["#fde8dc", "#c98f7a", "#7d4f43"],
    ["#e6efd8", "#9cb473", "#5a7a3a"],
    ["#f6e7ef", "#b08aa6", "#6a4a69"],
    ["#e3f1ee", "#74aaa0", "#2f6f68"],
    ["#fff1cc", "#dcb13c", "#94701a"],
];

/// Bag and label, light roast to dark.
const BAGS: [[&str; 2]; 3] = [["#c98d4e", "#fff6e6"], ["#7a4a26", "#fdf1df"], ["#3a2418", "#f4e3c8"]];

/// Draws the scene; equal scenes give equal bytes.
pub(super) fn draw(scene: &Scene<'_>) -> String {
    let [sky, far, near] = LANDSCAPES[scene.seed % LANDSCAPES.len()];
    let [bag, label] = BAGS[scene.roast];
    let sun_x = 140 + (scene.seed * 97) % 520;
    let sun_y = 110 + (scene.seed * 53) % 90;
    let peak = 250 + (scene.seed * 71) % 300;
    let (title, subtitle) = (escape(scene.title), escape(scene.subtitle));
    let mut svg = String::with_capacity(2_048);
    let mut add =
        |part: std::fmt::Arguments<'_>| svg.write_fmt(part).expect("writing to a String cannot fail");
    add(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE_PX}" height="{SIZE_PX}" viewBox="0 0 800 800" role="img"><title>{title}, {subtitle}</title>"#
    ));
    add(format_args!(r#"<rect width="800" height="800" fill="{sky}"/>"#));
    add(format_args!(r##"<circle cx="{sun_x}" cy="{sun_y}" r="64" fill="#fffdf4" opacity=".9"/>"##));
    add(format_args!(
        r#"<path d="M0 520 Q{a} 300 {peak} 420 T800 380 V800 H0Z" fill="{far}"/>"#,
        a = peak / 2
    ));
    add(format_args!(r#"<path d="M0 620 Q200 500 420 590 T800 540 V800 H0Z" fill="{near}"/>"#));
    for row in 0..5 {
        let y = 640 + row * 34;
        add(format_args!(
            r#"<path d="M0 {y} Q400 {c} 800 {y}" stroke="{far}" stroke-width="7" stroke-dasharray="2 22" stroke-linecap="round" fill="none" opacity=".75"/>"#,
            c = y - 46
        ));
    }
    add(format_args!(r##"<ellipse cx="400" cy="716" rx="190" ry="22" fill="#000" opacity=".18"/>"##));
    add(format_args!(
        r#"<path d="M262 236 L538 236 L556 690 Q556 712 534 712 L266 712 Q244 712 244 690Z" fill="{bag}"/>"#
    ));
    add(format_args!(r#"<path d="M262 236 L538 236 L528 190 L272 190Z" fill="{bag}"/>"#));
    add(format_args!(r##"<path d="M262 236 H538" stroke="#000" stroke-opacity=".25" stroke-width="5"/>"##));
    add(format_args!(r##"<circle cx="400" cy="276" r="11" fill="#000" opacity=".28"/>"##));
    add(format_args!(r#"<rect x="282" y="318" width="236" height="300" rx="14" fill="{label}"/>"#));
    add(format_args!(
        r#"<g transform="translate(400 392) rotate(-28)"><ellipse rx="34" ry="48" fill="{bag}"/><path d="M0 -46 Q-18 -14 0 0 T0 46" stroke="{label}" stroke-width="6" fill="none"/></g>"#
    ));
    add(format_args!(
        r#"<g font-family="Georgia,'Times New Roman',serif" text-anchor="middle" fill="{bag}"><text x="400" y="498" font-size="26" font-weight="bold" textLength="{length}" lengthAdjust="spacingAndGlyphs">{title}</text><text x="400" y="538" font-size="20">{subtitle}</text><text x="400" y="592" font-size="15" letter-spacing="4">MESTRES CAFÉ</text></g></svg>"#,
        length = (scene.title.chars().count() * 13).min(216)
    ));
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
