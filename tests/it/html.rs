//! The HTML report in a real browser: it says nothing on the console, asks nobody for anything, and needs no script.

use crate::tool::World;
use preflight_report::{Report, read, seal, to_json};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

const NO_GO: &str = include_str!("../../crates/report/tests/it/golden/no-go.json");

/// What a page came to in the browser.
struct Seen {
    dom: String,
    console: Vec<String>,
    /// How many connections were made to the server that the page knows.
    connections: usize,
}

/// Chromium, under one of its names. Ubuntu has no package of it.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "google-chrome", "chromium-browser"];
    let found =
        std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|one| one.is_file());
    if found.is_none() {
        println!("skipped: none of {} is on the path", names.join(", "));
    }
    found
}

/// A server that nobody should ask for anything.
struct Nobody(TcpListener);

impl Nobody {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().unwrap())
    }

    /// The connections since the last call. They wait in the queue of the system until then.
    fn connections(&self) -> usize {
        let mut count = 0;
        loop {
            match self.0.accept() {
                Ok(_) => count += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Opens a page and waits until it is loaded. The browser itself reaches nothing but this server.
    fn open(&self, browser: &Path, page: &Path) -> Seen {
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new("timeout")
            .args(["--kill-after=5", "90"])
            .arg(browser)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--enable-logging=stderr", "--timeout=20000", "--dump-dom"])
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} failed: {log}", browser.display());
        Seen {
            dom: String::from_utf8(output.stdout).unwrap(),
            console: log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
            connections: self.connections(),
        }
    }
}

/// The report as a page, made by the program.
fn page(world: &World, report: &Report) -> std::path::PathBuf {
    world.write("report.json", &to_json(report));
    let ran = world.tool(&["report", "convert", "report.json", "--output", "html=page.html"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    world.path("page.html")
}

#[test]
fn the_browser_of_this_test_tells_of_a_bad_page() {
    let Some(browser) = browser() else { return };
    let (world, nobody) = (World::new(""), Nobody::new());
    let image = format!("<img src=\"{}x.png\"><script>console.error('heard')</script>", nobody.url());
    world.write("page.html", &image);
    let seen = nobody.open(&browser, &world.path("page.html"));
    assert!(seen.connections > 0, "the request of the page was not seen");
    assert!(seen.console.iter().any(|line| line.contains("heard")), "{:?}", seen.console);
}

#[test]
fn a_page_is_silent_and_complete_in_a_browser() {
    let Some(browser) = browser() else { return };
    let (world, nobody) = (World::new(""), Nobody::new());
    let report = read(NO_GO).unwrap();
    let Seen { dom, console, connections } = nobody.open(&browser, &page(&world, &report));
    assert_eq!((console, connections), (vec![], 0));
    assert!(dom.contains("<h1>no-go</h1>") && !dom.contains("<script"), "{dom}");
    assert_eq!(dom.matches("<article").count(), 7, "one for each result that did not pass");
    for result in &report.results {
        assert!(dom.contains(&result.subject) && dom.contains(&result.check), "{}", result.check);
    }
    for target in dom.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(dom.contains(&format!("id=\"{target}\"")), "the link to `{target}` leads nowhere");
    }
}

#[test]
fn a_large_page_of_hostile_texts_is_silent_and_asks_nobody() {
    let Some(browser) = browser() else { return };
    let (world, nobody) = (World::new(""), Nobody::new());
    let url = nobody.url();
    let attack = format!(
        "\"'></dd></style><img src={url}a><script src={url}b></script><script>console.error(1)</script>\
         <style>@import '{url}c';body{{background:url({url}d)}}</style><iframe src={url}e></iframe>\
         <link rel=stylesheet href={url}f><meta http-equiv=refresh content=\"0;url={url}g\"><base href={url}>"
    );
    let mut report = read(NO_GO).unwrap();
    report.subject.environment.push_str(&attack);
    report.subject.transition.to.push_str(&attack);
    let one = report.results[2].clone();
    let item = report.plan.items[2].clone();
    for n in 0..400 {
        let subject = format!("{n} {attack}");
        report.plan.items.push(preflight_report::PlanItem { subject: subject.clone(), ..item.clone() });
        let mut result = preflight_report::CheckResult { subject, observed: attack.clone(), ..one.clone() };
        result.evidence[0].detail = attack.clone();
        result.remediation.as_mut().unwrap().url = Some(format!("{url}h\" onmouseover=\"console.error(2)"));
        report.results.push(result);
    }
    let Seen { dom, console, connections } = nobody.open(&browser, &page(&world, &seal(report)));
    assert_eq!((console, connections), (vec![], 0));
    assert_eq!(dom.matches("<article").count(), 407);
    assert!(dom.contains(&format!("href=\"{url}h&quot; onmouseover=")), "a link stays one attribute");
    for element in ["<script", "<img", "<iframe", "<base", "http-equiv=\"refresh"] {
        assert!(!dom.contains(element), "{element}");
    }
}
