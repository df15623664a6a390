//! Nothing that a run writes may take the place of what it reads, or of another form of its report.

use crate::commands::NOWHERE;
use crate::tool::World;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: shop, namespace: shop}\nspec: {}\n";

/// A run is refused, says why, and every file in its folder is as it was.
fn refused(world: &World, files: &[(&str, &str)], arguments: &[&str], said: &str) {
    let ran = world.tool(&[&["run", "--to", "deployed"], arguments].concat());
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?} {ran:?}");
    assert!(ran.err.contains(said), "{arguments:?} {ran:?}");
    for (name, text) in files {
        assert_eq!(std::fs::read_to_string(world.path(name)).unwrap(), *text, "{arguments:?}");
    }
    assert!(!world.path("preflight-report.json").exists() && !world.path("r.json").exists(), "{arguments:?}");
}

#[test]
fn an_output_that_is_an_input_is_refused_and_the_input_stays() {
    let config = format!("{NOWHERE}manifests: [manifests]\necs: [services.json]\n");
    let world = World::new(&config);
    let files = [
        ("preflight.yaml", config.as_str()),
        ("manifests/orders.yaml", SERVICE),
        ("services.json", "{\"services\":[]}"),
        ("notes.txt", "mine"),
    ];
    files.iter().skip(1).for_each(|(name, text)| world.write(name, text));
    std::os::unix::fs::symlink("preflight.yaml", world.path("link")).unwrap();
    for (arguments, said) in [
        (&["--report", "preflight.yaml"][..], "would overwrite the configuration"),
        (&["--report", "manifests/../preflight.yaml"], "would overwrite the configuration"),
        (&["--report", "link"], "would overwrite the configuration"),
        (&["--output", "html=preflight.yaml"], "`--output html=preflight.yaml` would overwrite the configuration"),
        (&["--deliver", "file=preflight.yaml"], "would overwrite the configuration"),
        (&["--output", "json=manifests/orders.yaml"], "would overwrite what `manifests[0]` names"),
        (&["--output", "text=services.json"], "would overwrite what `ecs[0]` names"),
        (&["--report", "services.json"], "no report of this tool"),
        (&["--report", "notes.txt"], "no report of this tool"),
    ] {
        refused(&world, &files, arguments, said);
    }
}

#[test]
fn two_outputs_in_one_file_are_refused() {
    let world = World::new(NOWHERE);
    let files = [("preflight.yaml", NOWHERE)];
    for arguments in [
        &["--report", "r.json", "--output", "text=r.json"][..],
        &["--report", "r.json", "--output", "text=./r.json"],
        &["--report", "r.json", "--output", "text=r.json.previous"],
        &["--output", "text=a,html=a"],
        &["--output", "text=a", "--deliver", "file=a"],
    ] {
        refused(&world, &files, arguments, "name one file; each needs its own");
    }
}

#[test]
fn a_report_among_the_manifests_may_be_written_again_and_again() {
    let world = World::new(&format!("{NOWHERE}manifests: [.]\n"));
    for _ in 0..2 {
        let outputs = ["--output", "html=report.html", "--output", "text=/dev/null", "--output", "json=/dev/null"];
        let ran = world.tool(&[&["run", "--to", "deployed"][..], &outputs].concat());
        assert!(![2, 22].contains(&ran.code), "{ran:?}");
    }
    assert!(world.path("preflight-report.json.previous").exists() && world.path("report.html").exists());
}

#[test]
fn a_report_is_not_converted_into_itself() {
    let world = World::new(NOWHERE);
    world.tool(&["run", "--to", "deployed"]);
    let before = world.report();
    let ran = world.tool(&["report", "convert", "preflight-report.json", "--output", "html=./preflight-report.json"]);
    assert!(ran.code == 2 && ran.err.contains("would overwrite the report"), "{ran:?}");
    assert_eq!(world.report(), before);
}
