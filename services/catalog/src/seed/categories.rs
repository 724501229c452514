//! The shop's category tree: where a coffee comes from, or what it is for.

use super::regions::REGIONS;
use crate::store::load::SeedCategory;

const ORIGINS: i64 = 1;
const FIRST_REGION: i64 = 2;
/// The last region grows canéforas, so its category stands below theirs.
const CANEPHORAS: i64 = 20;

/// Categories outside the origins: (id, parent, name, slug).
const OTHERS: [(i64, Option<i64>, &str, &str); 9] = [
    (CANEPHORAS, None, "Canéforas finos", "caneforas-finos"),
    (21, None, "Microlotes", "microlotes"),
    (22, Some(21), "Fermentações especiais", "fermentacoes-especiais"),
    (23, Some(21), "Variedades raras", "variedades-raras"),
    (24, None, "Blends da casa", "blends-da-casa"),
    (25, Some(24), "Para espresso", "espresso"),
    (26, Some(24), "Para filtro", "filtro"),
    (27, None, "Descafeinados", "descafeinados"),
    (28, Some(21), "Acima de 86 pontos", "acima-de-86-pontos"),
];

/// Every category, parents before children.
pub(super) fn all() -> Vec<SeedCategory> {
    let origins = SeedCategory {
        id: ORIGINS,
        parent_id: None,
        name: "Cafés de origem".to_owned(),
        slug: "cafes-de-origem".to_owned(),
        position: 0,
    };
    let others = OTHERS.iter().zip(1..).map(|(&(id, parent_id, name, slug), position)| SeedCategory {
        id,
        parent_id,
        name: name.to_owned(),
        slug: slug.to_owned(),
        position,
    });
    let regions = REGIONS.iter().enumerate().map(|(index, region)| SeedCategory {
        id: region_category(index),
        parent_id: Some(if index == REGIONS.len() - 1 { CANEPHORAS } else { ORIGINS }),
        name: region.name.to_owned(),
        slug: region.slug.to_owned(),
        position: i32::try_from(index).expect("fourteen regions"),
    });
    std::iter::once(origins).chain(others).chain(regions).collect()
}

/// The category of the region at `index` of [`REGIONS`].
pub(super) fn region_category(index: usize) -> i64 {
    FIRST_REGION + i64::try_from(index).expect("fourteen regions")
}

/// The category with this slug among those outside the origins.
///
/// # Panics
/// When no category has the slug: the tables of this module's siblings name only existing ones.
pub(super) fn category_with_slug(slug: &str) -> i64 {
    OTHERS.iter().find(|other| other.3 == slug).map(|other| other.0).expect("a slug of the table above")
}
