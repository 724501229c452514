//! Finding the route of a path: one step per segment, no allocation.
//!
//! A list of a hundred templates tried one after the other would cost a hit more than the rest of its way.

use std::sync::LazyLock;

use super::Route;

/// The most segments that a template may leave open.
const OPEN_MAX: usize = 2;

/// The places of the segments that a template leaves open, in the path that was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    places: [(u16, u16); OPEN_MAX],
    count: u8,
}

impl Segments {
    /// The open segment at `position` of the template; empty when the template has fewer.
    pub(crate) fn at(self, position: usize, path: &str) -> &str {
        let found = self.places.get(position).filter(|_| position < usize::from(self.count));
        found.and_then(|(start, end)| path.get(usize::from(*start)..usize::from(*end))).unwrap_or_default()
    }

    fn and(mut self, start: usize, end: usize) -> Option<Self> {
        let place = (u16::try_from(start).ok()?, u16::try_from(end).ok()?);
        *self.places.get_mut(usize::from(self.count))? = place;
        self.count += 1;
        Some(self)
    }
}

/// The templates of all routes, segment by segment.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// In the order of the routes, so that the busiest is compared first.
    literals: Vec<(&'static str, usize)>,
    open: Option<usize>,
    route: Option<Route>,
}

/// The first node, above every template.
const ROOT: usize = 0;

pub(super) static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::of(&Route::ALL));

impl Tree {
    fn of(routes: &[Route]) -> Self {
        let mut tree = Self { nodes: vec![Node::default()] };
        for &route in routes {
            let mut node = ROOT;
            for segment in route.spec().template.split('/').skip(1) {
                node = tree.child(node, segment);
            }
            assert!(tree.nodes[node].route.is_none(), "two routes have the template of {route:?}");
            tree.nodes[node].route = Some(route);
        }
        tree
    }

    /// The node below `parent` for a segment of a template, made if there is none.
    fn child(&mut self, parent: usize, segment: &'static str) -> usize {
        let made = self.nodes.len();
        let node = &mut self.nodes[parent];
        let found = if segment.starts_with('{') {
            *node.open.get_or_insert(made)
        } else if let Some((_, child)) = node.literals.iter().find(|(literal, _)| *literal == segment) {
            *child
        } else {
            node.literals.push((segment, made));
            made
        };
        if found == made {
            self.nodes.push(Node::default());
        }
        found
    }

    /// The route of a path. A literal segment wins over an open one.
    pub(super) fn find(&self, path: &str) -> Option<(Route, Segments)> {
        if !path.starts_with('/') {
            return None;
        }
        self.below(&self.nodes[ROOT], path, 1, Segments::default())
    }

    /// The same for the part of the path that begins at `start`. Goes no deeper than the longest template.
    fn below(&self, node: &Node, path: &str, start: usize, found: Segments) -> Option<(Route, Segments)> {
        let rest = &path[start..];
        let end = rest.find('/').map_or(path.len(), |length| start + length);
        let segment = &path[start..end];
        let enter = |child: usize, found: Segments| {
            let child = &self.nodes[child];
            if end == path.len() {
                child.route.map(|route| (route, found))
            } else {
                self.below(child, path, end + 1, found)
            }
        };
        if let Some((_, child)) = node.literals.iter().find(|(literal, _)| *literal == segment)
            && let Some(through) = enter(*child, found)
        {
            return Some(through);
        }
        let open = node.open.filter(|_| !segment.is_empty())?;
        enter(open, found.and(start, end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{ROOT, Segments, TREE, Tree};
    use crate::routes::Route;

    /// Comparisons of strings on the way to a route.
    fn comparisons(tree: &Tree, template: &str) -> usize {
        let mut node = &tree.nodes[ROOT];
        let mut made = 0;
        for segment in template.split('/').skip(1) {
            let literal = node.literals.iter().position(|(literal, _)| *literal == segment);
            made += literal.map_or(node.literals.len(), |position| position + 1);
            let child = literal.map(|position| node.literals[position].1).or(node.open);
            node = &tree.nodes[child.expect("the template is in the tree")];
        }
        made
    }

    #[test]
    fn every_route_is_found_in_few_comparisons_and_the_busiest_in_the_fewest() {
        assert_eq!(comparisons(&TREE, Route::Products.spec().template), 3, "one per segment");
        assert!(comparisons(&TREE, Route::Product.spec().template) <= 8);
        let most = Route::ALL.into_iter().map(|route| comparisons(&TREE, route.spec().template)).max();
        assert!(most.is_some_and(|most| most <= 20), "{most:?}");
    }

    #[test]
    fn a_literal_wins_and_gives_way_where_it_leads_nowhere() {
        let found = |path| TREE.find(path).map(|(route, segments)| (route, segments.at(0, path).to_owned()));
        assert_eq!(found("/api/v1/products/new"), Some((Route::NewProducts, String::new())));
        assert_eq!(found("/api/v1/products/by-slug"), Some((Route::Product, "by-slug".to_owned())));
        assert_eq!(found("/api/v1/products/by-slug/a"), Some((Route::ProductBySlug, "a".to_owned())));
        for nowhere in
            ["", "/", "api", "/api", "/api/v1/products/", "/api/v1/products/1/", "//api/v1/products"]
        {
            assert_eq!(found(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn several_segments_may_be_open() {
        let two = Segments::default().and(1, 3).and_then(|one| one.and(4, 6)).expect("two fit");
        assert_eq!((two.at(0, "/ab/cd"), two.at(1, "/ab/cd"), two.at(2, "/ab/cd")), ("ab", "cd", ""));
        assert_eq!(two.and(0, 1), None);
    }
}
