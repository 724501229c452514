//! Turns the tables of regions, lots and house coffees into products, the same ones every time.

use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::{
    categories::{category_with_slug, region_category},
    drawing::{self, Scene},
    lots::{HOUSE_COFFEES, PROCESSES, ROASTS, VARIETIES},
    regions::{REGIONS, Region},
};
use crate::{
    domain::StockBand,
    store::load::{SeedFile, SeedImage, SeedProduct, SeedVariant},
};

const FARMS: usize = 3;
const LOTS_OF_A_FARM: usize = 3;

/// Products whose texts are written one by one or for one farm; more than these are generated lots.
pub(super) const DEMO_PRODUCTS: usize = HOUSE_COFFEES.len() + REGIONS.len() * FARMS * LOTS_OF_A_FARM;

/// Lots above this SCA score, in tenths, stand among the microlots.
const MICROLOT_SCORE_TENTHS: i32 = 860;

/// Indexes of [`VARIETIES`] that are rare enough for a category of their own.
const RARE_VARIETIES: [usize; 2] = [11, 13];
/// Indexes of [`VARIETIES`] from which on they are canéforas.
const FIRST_CANEPHORA: usize = 14;
/// Indexes of [`PROCESSES`] from which on they are fermentations.
const FIRST_FERMENTATION: usize = 5;

const WEIGHTS_G: [i32; 3] = [250, 500, 1_000];
/// (name, part of the SKU)
const GRINDS: [(&str, &str); 3] = [("em grãos", "GRA"), ("moagem média", "MED"), ("moagem fina", "FIN")];

/// The product at `index`, from 0, and the drawing it shows.
pub(super) fn coffee(index: usize, today: OffsetDateTime) -> (SeedProduct, SeedFile) {
    match HOUSE_COFFEES.get(index) {
        Some(_) => house_coffee(index, today),
        None => farm_lot(index, today),
    }
}

fn house_coffee(index: usize, today: OffsetDateTime) -> (SeedProduct, SeedFile) {
    let house = &HOUSE_COFFEES[index];
    let file =
        file_of(&Scene { title: house.name, subtitle: "blend da casa", roast: house.roast, seed: index });
    let [first, second, third] = house.notes;
    let advice = ROASTS[house.roast].advice;
    let product = SeedProduct {
        id: id_of(index),
        slug: house.slug.to_owned(),
        name: house.name.to_owned(),
        description: format!("{} Notas de {first}, {second} e {third}. {advice}", house.description),
        category_id: Some(category_with_slug(house.category)),
        origin: Some("Brasil".to_owned()),
        roast: Some(ROASTS[house.roast].roast),
        process: None,
        sca_score_tenths: Some(house.score_tenths),
        attributes_json: attributes(&[("notas", &house.notes.join(", ")), ("tipo", "blend")]),
        is_featured: index < 4,
        created_at: created_at(index, today),
        popularity: 5_000 - 137 * index_i64(index),
        stock_band: stock_band(index),
        variants: variants(index, house.amount_250g, &WEIGHTS_G, &GRINDS),
        images: vec![image(&file, format!("Pacote de {} da Mestres Café", house.name))],
    };
    (product, file)
}

fn farm_lot(index: usize, today: OffsetDateTime) -> (SeedProduct, SeedFile) {
    let lot = index - HOUSE_COFFEES.len();
    let region_index = lot % REGIONS.len();
    let region = &REGIONS[region_index];
    let within_region = lot / REGIONS.len();
    let farm_index = within_region % FARMS;
    let harvest = within_region / FARMS;
    let farm = &region.farms[farm_index];
    let mix = scramble(index);

    let variety_index = region.varieties[(farm_index + harvest) % region.varieties.len()];
    let process_index = region.processes[(farm_index * 2 + harvest) % region.processes.len()];
    let (variety, process) = (&VARIETIES[variety_index], &PROCESSES[process_index]);
    let roast = roast_of(variety_index, process_index, mix);
    let altitude_m = altitude(region, mix);
    let score = score(region, altitude_m, variety.score_tenths + process.score_tenths, mix);
    let is_demo = index < DEMO_PRODUCTS;

    let title = format!("{} {} — {}", variety.name, process.name, farm.name);
    let name = if is_demo { title } else { format!("{title}, lote {lot}") };
    let file = file_of(&Scene {
        title: region.name,
        subtitle: process.name,
        roast,
        seed: region_index * PROCESSES.len() + process_index,
    });
    let notes = [variety.notes[mix % 4], variety.notes[(mix + 1) % 4], process.note];
    let grade = if score >= 870 { "Café premium" } else { "Café especial" };
    let description = format!(
        "{grade} de {town} ({state}), {registration} {region}: {landscape}. {producer}, de {farm}, cultivam \
         {variety} a {altitude_m} metros; é um café {character}. Foi {how}. Na xícara, {a}, {b} e {c}. {advice}",
        town = farm.town,
        state = region.state,
        registration = region.registration,
        region = region.name,
        landscape = region.landscape,
        producer = capitalised(farm.producer),
        farm = farm.name,
        variety = variety.name,
        character = variety.character,
        how = process.how,
        a = notes[0],
        b = notes[1],
        c = notes[2],
        advice = ROASTS[roast].advice,
    );
    let amount_250g = amount_250g(score);
    let product = SeedProduct {
        id: id_of(index),
        slug: slug(&name),
        description,
        category_id: Some(category(region_index, variety_index, process_index, score, harvest)),
        origin: Some(region.name.to_owned()),
        roast: Some(ROASTS[roast].roast),
        process: Some(process.name.to_owned()),
        sca_score_tenths: Some(score),
        attributes_json: attributes(&[
            ("altitude", &format!("{altitude_m} m")),
            ("fazenda", farm.name),
            ("notas", &notes.join(", ")),
            ("produtor", farm.producer),
            ("safra", "2026"),
            ("variedade", variety.name),
        ]),
        is_featured: (is_demo && score >= 885) || index % 997 == 996,
        created_at: created_at(index, today),
        popularity: index_i64(mix % 4_000),
        stock_band: stock_band(mix),
        variants: if is_demo {
            variants(index, amount_250g, &WEIGHTS_G, &GRINDS)
        } else {
            variants(index, amount_250g, &WEIGHTS_G[..1], &GRINDS[..2])
        },
        images: vec![image(&file, format!("Pacote de café {name}"))],
        name,
    };
    (product, file)
}

fn category(region: usize, variety: usize, process: usize, score: i32, harvest: usize) -> i64 {
    // One lot in three stays with its region whatever it scores, so that every region has a shelf.
    if harvest.is_multiple_of(3) || variety >= FIRST_CANEPHORA {
        region_category(region)
    } else if RARE_VARIETIES.contains(&variety) {
        category_with_slug("variedades-raras")
    } else if process >= FIRST_FERMENTATION {
        category_with_slug("fermentacoes-especiais")
    } else if score >= MICROLOT_SCORE_TENTHS {
        category_with_slug("acima-de-86-pontos")
    } else {
        region_category(region)
    }
}

fn roast_of(variety: usize, process: usize, mix: usize) -> usize {
    if variety >= FIRST_CANEPHORA {
        1 + mix % 2
    } else if RARE_VARIETIES.contains(&variety) || process >= FIRST_FERMENTATION {
        0
    } else {
        mix % 3
    }
}

fn altitude(region: &Region, mix: usize) -> u32 {
    let (low, high) = region.altitude_m;
    let steps = (high - low) / 10 + 1;
    low + 10 * (u32::try_from(mix % 100_000).expect("below 100,000") % steps)
}

/// SCA score in tenths: a base, the altitude's share, what variety and process add, and some luck.
fn score(region: &Region, altitude_m: u32, bonus_tenths: i32, mix: usize) -> i32 {
    let altitude_tenths =
        i32::try_from((altitude_m - region.altitude_m.0) / 25).expect("a few hundred metres");
    let luck_tenths = i32::try_from(mix / 7 % 14).expect("below 14");
    (828 + altitude_tenths + bonus_tenths + luck_tenths).clamp(805, 930)
}

/// Price of 250 g in centavos: it grows with the square of the points above 80.
fn amount_250g(score_tenths: i32) -> i64 {
    let above = i64::from(score_tenths - 800);
    ending_in_90(2_790 + above * above * 6 / 10)
}

fn ending_in_90(amount: i64) -> i64 {
    amount / 100 * 100 + 90
}

fn variants(
    index: usize,
    amount_250g: i64,
    weights_g: &[i32],
    grinds: &[(&'static str, &'static str)],
) -> Vec<SeedVariant> {
    let on_sale = index % 9 == 4;
    let mut variants = Vec::with_capacity(weights_g.len() * grinds.len());
    for &weight_g in weights_g {
        // Larger bags cost less per gram: 5 % at 500 g, 10 % at 1 kg.
        let price_amount = match weight_g {
            500 => ending_in_90(amount_250g * 19 / 10),
            1_000 => ending_in_90(amount_250g * 36 / 10),
            _ => amount_250g,
        };
        let weight = if weight_g == 1_000 { "1 kg".to_owned() } else { format!("{weight_g} g") };
        for &(grind, code) in grinds {
            variants.push(SeedVariant {
                sku: format!("MC-{:06}-{weight_g}-{code}", index + 1),
                name: format!("{weight}, {grind}"),
                options_json: serde_json::json!({ "peso": weight, "moagem": grind }).to_string(),
                weight_g,
                price_amount,
                compare_at_amount: on_sale.then(|| ending_in_90(price_amount * 118 / 100)),
            });
        }
    }
    variants
}

/// Demo products appear two days apart, generated ones a minute apart before them.
fn created_at(index: usize, today: OffsetDateTime) -> OffsetDateTime {
    let demo = index.min(DEMO_PRODUCTS);
    let generated = index - demo;
    today - Duration::days(2 * index_i64(demo)) - Duration::minutes(index_i64(generated))
}

fn stock_band(mix: usize) -> StockBand {
    match mix % 23 {
        0 => StockBand::Out,
        1 | 2 => StockBand::Low,
        _ => StockBand::In,
    }
}

fn attributes(pairs: &[(&str, &str)]) -> String {
    let object: serde_json::Map<_, _> =
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect();
    serde_json::Value::Object(object).to_string()
}

fn file_of(scene: &Scene<'_>) -> SeedFile {
    let content = drawing::draw(scene).into_bytes();
    let sha256_hex =
        Sha256::digest(&content).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    SeedFile { sha256_hex, content_type: "image/svg+xml".to_owned(), content }
}

fn image(file: &SeedFile, alt: String) -> SeedImage {
    SeedImage {
        url: format!("/images/{}.svg", file.sha256_hex),
        sha256_hex: file.sha256_hex.clone(),
        width: drawing::SIZE_PX,
        height: drawing::SIZE_PX,
        alt,
    }
}

/// A slug of a Portuguese name: lower case, without accents, words joined by single hyphens.
fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for character in name.chars().flat_map(char::to_lowercase) {
        let plain = match character {
            'á' | 'â' | 'ã' | 'à' => 'a',
            'é' | 'ê' => 'e',
            'í' => 'i',
            'ó' | 'ô' | 'õ' => 'o',
            'ú' | 'ü' => 'u',
            'ç' => 'c',
            other => other,
        };
        if plain.is_ascii_alphanumeric() {
            slug.push(plain);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// A fixed permutation-like hash, so that neighbours differ and every run agrees (splitmix64's mixer).
fn scramble(index: usize) -> usize {
    let mut z = (index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) >> 33).expect("31 bits fit a usize")
}

fn id_of(index: usize) -> i64 {
    index_i64(index) + 1
}

fn index_i64(index: usize) -> i64 {
    i64::try_from(index).expect("a catalog has fewer than 2^63 products")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn demo() -> Vec<(SeedProduct, SeedFile)> {
        (0..DEMO_PRODUCTS + 500).map(|index| coffee(index, OffsetDateTime::UNIX_EPOCH)).collect()
    }

    #[test]
    fn at_least_120_coffees_are_written_and_all_slugs_and_skus_differ() {
        const { assert!(DEMO_PRODUCTS >= 120) }
        let coffees = demo();
        let slugs: HashSet<_> = coffees.iter().map(|(product, _)| &product.slug).collect();
        assert_eq!(slugs.len(), coffees.len());
        let skus: Vec<_> =
            coffees.iter().flat_map(|(product, _)| &product.variants).map(|v| &v.sku).collect();
        assert_eq!(skus.iter().collect::<HashSet<_>>().len(), skus.len());
    }

    #[test]
    fn the_same_index_gives_the_same_product() {
        for index in [0, 40, DEMO_PRODUCTS + 3] {
            let (first, first_file) = coffee(index, OffsetDateTime::UNIX_EPOCH);
            let (second, second_file) = coffee(index, OffsetDateTime::UNIX_EPOCH);
            assert_eq!(format!("{first:?}"), format!("{second:?}"));
            assert_eq!(first_file.content, second_file.content);
        }
    }

    #[test]
    fn every_category_without_children_has_a_coffee_of_the_demo() {
        let categories = crate::seed::categories::all();
        let used: HashSet<_> =
            (0..DEMO_PRODUCTS).filter_map(|i| coffee(i, OffsetDateTime::UNIX_EPOCH).0.category_id).collect();
        let parents: HashSet<_> = categories.iter().filter_map(|category| category.parent_id).collect();
        for category in categories.iter().filter(|category| !parents.contains(&category.id)) {
            assert!(used.contains(&category.id), "{} is empty", category.name);
        }
    }

    #[test]
    fn a_slug_has_no_accents_and_no_double_hyphens() {
        assert_eq!(
            slug("Bourbon Amarelo — Sítio Olhos d'Água, lote 3"),
            "bourbon-amarelo-sitio-olhos-d-agua-lote-3"
        );
    }
}
