//! The contract names every route, and every route is reached.

use gateway::handlers::openapi::Contract;
use gateway::routes::Route;
use serde_json::Value;
use utoipa::OpenApi;

#[test]
fn the_contract_lists_exactly_the_routes_and_methods() {
    let contract: Value = serde_json::to_value(Contract::openapi()).expect("the contract is JSON");
    assert!(contract["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, operations) in contract["paths"].as_object().expect("paths is an object") {
        for method in operations.as_object().expect("a path has operations").keys() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                described.push((path.clone(), method.to_uppercase()));
            }
        }
    }
    let mut served: Vec<(String, String)> = Route::ALL
        .into_iter()
        .flat_map(|route| {
            let spec = route.spec();
            spec.methods.iter().map(move |method| (spec.template.to_owned(), (*method).to_owned()))
        })
        .collect();
    described.sort();
    served.sort();
    assert_eq!(described, served);
}

#[test]
fn a_template_finds_itself() {
    for route in Route::ALL {
        let path =
            route.spec().template.replace("{id}", "1").replace("{slug}", "a").replace("{file}", "f.svg");
        assert_eq!(Route::find(&path).map(|(found, _)| found), Some(route), "{path}");
        assert!(route.spec().allow.starts_with(route.spec().methods[0]));
    }
}
