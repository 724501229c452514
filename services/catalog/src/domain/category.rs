//! The category tree: its order, and how many products are in each branch.

use std::collections::{HashMap, HashSet};

/// A category in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Category {
    pub(crate) id: i64,
    pub(crate) parent_id: Option<i64>,
    /// Root first, the category itself last.
    pub(crate) path: Vec<i64>,
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) position: i32,
    pub(crate) version: i64,
    /// Active products: directly in it when read from the store, with everything below it in a tree.
    pub(crate) products: i64,
}

/// Puts siblings, given in their order and behind their parents, into tree order and adds the products
/// of each branch up. A category whose parent is not given is left out with everything below it.
pub(crate) fn tree(rows: Vec<Category>) -> Vec<Category> {
    let mut of_branch: HashMap<i64, i64> = HashMap::with_capacity(rows.len());
    let mut children: HashMap<Option<i64>, Vec<Category>> = HashMap::new();
    let mut reachable = HashSet::with_capacity(rows.len());
    for row in rows {
        let hidden = row.parent_id.is_some_and(|parent| !reachable.contains(&parent));
        if hidden {
            continue;
        }
        reachable.insert(row.id);
        for ancestor in &row.path {
            *of_branch.entry(*ancestor).or_default() += row.products;
        }
        children.entry(row.parent_id).or_default().push(row);
    }

    let mut ordered = Vec::with_capacity(reachable.len());
    // The next sibling is on top: depth first without recursion.
    let mut waiting: Vec<Category> = children.remove(&None).unwrap_or_default();
    waiting.reverse();
    while let Some(mut category) = waiting.pop() {
        category.products = of_branch.get(&category.id).copied().unwrap_or_default();
        let below = children.remove(&Some(category.id)).unwrap_or_default();
        ordered.push(category);
        waiting.extend(below.into_iter().rev());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(path: &[i64], products: i64) -> Category {
        let id = *path.last().unwrap();
        Category {
            id,
            parent_id: path.iter().rev().nth(1).copied(),
            path: path.to_vec(),
            name: format!("c{id}"),
            slug: format!("c{id}"),
            position: 0,
            version: 1,
            products,
        }
    }

    #[test]
    fn branches_follow_their_roots_and_add_up() {
        let rows = vec![
            category(&[2], 1),
            category(&[1], 10),
            category(&[1, 5], 100),
            category(&[2, 3], 1_000),
            category(&[1, 4], 10_000),
            category(&[1, 5, 6], 100_000),
        ];
        let tree: Vec<_> = tree(rows).into_iter().map(|c| (c.id, c.products)).collect();
        assert_eq!(tree, [(2, 1_001), (3, 1_000), (1, 110_110), (5, 100_100), (6, 100_000), (4, 10_000)]);
    }

    #[test]
    fn what_is_below_a_hidden_category_is_hidden() {
        let rows = vec![category(&[1], 1), category(&[9, 2], 10), category(&[9, 2, 3], 100)];
        let tree: Vec<_> = tree(rows).into_iter().map(|c| c.id).collect();
        assert_eq!(tree, [1]);
    }
}
