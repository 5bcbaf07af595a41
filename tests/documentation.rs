//! The documentation: its links lead somewhere, and its table of contents is whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Folder, assert_ok, whycam};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages in these folders of the project.
fn pages(folders: &[&str]) -> Vec<PathBuf> {
    let files = folders.iter().flat_map(|folder| fs::read_dir(project().join(folder)).unwrap());
    let files = files.map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The targets of the links in a page.
fn links(text: &str) -> Vec<&str> {
    let after = text.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')').map(|(link, _)| link)).filter(|link| !link.contains("://")).collect()
}

/// What a heading is called in links to it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    let mut count = 0;
    for page in pages(&[".", "docs", "models"]) {
        // Its links are those of the gathered pages.
        let root = if page.ends_with("SUMMARY.md") { project() } else { page.parent().unwrap() };
        for link in links(&fs::read_to_string(&page).unwrap()) {
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { root.join(file) };
            let generated = file == "docs/commands.md";
            let has = |text: String| {
                text.lines().any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading)
            };
            let leads = heading.is_empty() && target.exists() || fs::read_to_string(&target).is_ok_and(has);
            if !generated && !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(count > 50, "{count} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_table_of_contents_has_every_page() {
    let contents = fs::read_to_string(project().join("docs/SUMMARY.md")).unwrap();
    let listed: BTreeSet<&str> = links(&contents).into_iter().collect();
    let missing = pages(&["docs"]).into_iter().filter(|page| !page.ends_with("SUMMARY.md")).filter(|page| {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        !listed.contains(format!("docs/{name}").as_str())
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn the_reference_has_every_command() {
    let folder = Folder::new("reference");
    assert_ok(&whycam(&["generate", "reference", &folder.file("")]));
    let page = fs::read_to_string(folder.file("commands.md")).unwrap();
    for command in ["live", "explain", "prepare", "evaluate", "gradient", "teach", "web", "generate"] {
        assert!(page.contains(&format!("\n## whycam {command}\n")), "{command}");
    }
    assert!(page.contains("--colormap") && !page.contains('\u{1b}'));
}
