use crate::bench::{Bench, answer, on_a_calm_machine, page, run, run_in, scripted, until};
use preflight_core::{Outcome, Reason, Scope};
use preflight_fixtures::servers::WebBehaviour;
use serde_json::json;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const ID: &str = "load.slo-holds";

#[tokio::test]
async fn a_healthy_service_passes_and_leaves_its_numbers() {
    let attempt = async || {
        let bench = Bench::start().await;
        let mut target = bench.target();
        target["warmupS"] = json!(1);
        let said = run_in(ID, &target, |_| ()).await;
        (bench, said)
    };
    let (bench, said) = on_a_calm_machine(attempt, |(_, said)| said).await;
    assert_eq!(said.result.outcome, Outcome::Pass, "{:?} {}", said.result.reason, said.result.observed);
    // Each kind once before, then three seconds.
    assert_eq!((bench.eks.requests(), bench.ecs.requests()), (302, 0));
    assert!(said.progress >= 2);
    let value = said.measurement.unwrap();
    assert_eq!(value["counters"]["2xx"], 200);
    assert_eq!(value["warmup"]["2xx"], 100);
    assert_eq!(value["counters"]["servedByEks"], 200);
    assert_eq!(value["shards"], json!({ "expected": 1, "present": 1 }));
    assert!(value["intervals"].as_array().unwrap().len() >= 2);
    assert!(value["histograms"]["latency"].as_str().unwrap().len() > 50);
    let log = std::fs::read_to_string(bench.nginx.log()).unwrap();
    let of = |path: &str| log.lines().filter(|line| line.contains(&format!("\"uri\":\"{path}\""))).count();
    assert_eq!((of("/orders"), of("/healthz")), (226, 76));
}

#[tokio::test]
async fn a_slow_service_fails_with_what_was_seen_and_what_was_expected() {
    let bench = Bench::start().await;
    bench.eks.set(WebBehaviour { delay_ms: 300, ..WebBehaviour::default() });
    let mut target = bench.target();
    target["slo"] = json!({ "p50Ms": 5_000, "p95Ms": 250 });
    let said = run(ID, &target).await;
    assert_eq!(said.result.outcome, Outcome::Fail, "{}", said.result.observed);
    assert!(said.result.observed.starts_with("p95 3"), "{}", said.result.observed);
    assert_eq!(said.result.expected, "p95 at most 250 ms");
}

#[tokio::test]
async fn errors_beyond_their_share_fail() {
    let bench = Bench::start().await;
    bench.eks.set(WebBehaviour { fail_every: 10, ..WebBehaviour::default() });
    let said = run(ID, &bench.target()).await;
    assert_eq!(said.result.outcome, Outcome::Fail, "{}", said.result.observed);
    assert!(said.result.observed.contains("20 of 200 (20 answered 5xx)"), "{}", said.result.observed);
    assert!(said.result.expected.starts_with("at most 1 % errors\n"), "{}", said.result.expected);
}

#[tokio::test]
async fn a_rare_request_that_always_fails_is_judged_on_its_own() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target["requests"] =
        json!([{ "path": "/orders", "weight": 200 }, { "path": "/rare", "expect": { "status": 201 } }]);
    let said = run(ID, &target).await;
    assert_eq!(said.result.outcome, Outcome::Fail, "{:?} {}", said.result.reason, said.result.observed);
    assert!(said.result.observed.contains("/rare`: "), "{}", said.result.observed);
    assert_eq!(said.result.expected, "at most 1 % errors of each kind of request");
}

#[tokio::test]
async fn an_answer_of_the_cache_of_nginx_is_no_answer_of_eks() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    let hit = answer("200 OK", &[("x-served-by", "eks"), ("x-cache-status", "HIT")]);
    target["resolve"] = json!(scripted(vec![hit]).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::ControlFailed), "{}", said.result.observed);
}

#[tokio::test]
async fn a_service_that_fails_most_requests_is_not_loaded_to_the_end() {
    let bench = Bench::start().await;
    bench.eks.set(WebBehaviour { fail_every: 1, ..WebBehaviour::default() });
    let mut target = bench.target();
    target["durationS"] = json!(30);
    let said = run(ID, &target).await;
    assert_eq!(said.result.outcome, Outcome::Fail, "{}", said.result.observed);
    assert!(said.result.observed.contains("stopped after 3 s"), "{}", said.result.observed);
    assert!(bench.eks.requests() < 600, "{}", bench.eks.requests());
    assert_eq!(said.measurement.unwrap()["stoppedEarly"], true);
}

/// The control against coordinated omission: a server that stands still for one second of three. A closed loop of a few
/// users would count a handful of slow requests; here each of the hundred that came meanwhile waited.
#[tokio::test]
async fn a_stall_is_seen_by_every_request_that_came_meanwhile() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target["durationS"] = json!(3);
    target["slo"] = json!({ "p50Ms": 1_500, "p95Ms": 900 });
    let stall = async {
        until(|| bench.eks.requests() > 80).await;
        bench.eks.set(WebBehaviour { delay_ms: 1_000, ..WebBehaviour::default() });
        let before = bench.eks.requests();
        until(|| bench.eks.requests() >= before + 100).await;
        bench.eks.set(WebBehaviour::default());
    };
    let (said, ()) = tokio::join!(run(ID, &target), stall);
    assert_eq!(said.result.outcome, Outcome::Fail, "{:?} {}", said.result.reason, said.result.observed);
    assert!(said.result.observed.starts_with("p95 1"), "{}", said.result.observed);
    let value = said.measurement.unwrap();
    // A third of all requests, and no error among them.
    assert_eq!((&value["counters"]["2xx"], &value["missed"]), (&json!(300), &json!(0)));
}

#[tokio::test]
async fn a_domain_that_ecs_answers_is_not_loaded() {
    let bench = Bench::with_side("ecs").await;
    let said = run(ID, &bench.target()).await;
    assert_eq!(said.result.reason, Some(Reason::PrerequisiteFailed));
    assert_eq!(bench.eks.requests(), 2);
    assert!(said.measurement.is_none());
}

#[tokio::test]
async fn the_first_answer_of_ecs_stops_the_load() {
    let bench = Bench::start().await;
    let eks = || answer("200 OK", &[("x-served-by", "eks")]);
    let mut answers = vec![eks(); 60];
    answers.push(answer("200 OK", &[("x-served-by", "ecs")]));
    answers.push(eks());
    let mut target = bench.target();
    target["resolve"] = json!(scripted(answers).await.to_string());
    target["durationS"] = json!(30);
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::PrerequisiteFailed), "{}", said.result.observed);
    let value = said.measurement.unwrap();
    assert_eq!(value["counters"]["servedByEcs"], 1);
    // Two of the sixty were asked before the load.
    assert!(value["counters"]["ended"].as_u64().unwrap() < 58 + 10, "{value}");
}

#[tokio::test]
async fn a_redirect_is_an_error_unless_expected_and_is_not_followed() {
    let bench = Bench::start().await;
    let location = format!("http://{}/orders", bench.ecs.address());
    let redirect = answer("302 Found", &[("x-served-by", "eks"), ("location", &location)]);
    let mut target = bench.target();
    target["resolve"] = json!(scripted(vec![redirect]).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.outcome, Outcome::Fail, "{}", said.result.observed);
    assert!(said.result.observed.contains("200 of 200 (200 answered 3xx)"), "{}", said.result.observed);
    target["requests"] = json!([{ "path": "/orders", "expect": { "status": 302 } }]);
    let said = run(ID, &target).await;
    assert_eq!(said.result.outcome, Outcome::Pass, "{}", said.result.observed);
    assert_eq!((said.measurement.unwrap()["counters"]["3xx"].as_u64(), bench.ecs.requests()), (Some(200), 0));
}

#[tokio::test]
async fn a_body_without_the_expected_text_is_an_error() {
    let bench = Bench::start().await;
    let mut answers = vec![page("{\"orders\":[]}"); 61];
    answers.extend(vec![page("sorry, something went wrong"); 20]);
    answers.push(page("{\"orders\":[]}"));
    let mut target = bench.target();
    target["requests"] = json!([{ "path": "/orders", "expect": { "status": 200, "body": "\"orders\"" } }]);
    let attempt = async || {
        let mut target = target.clone();
        target["resolve"] = json!(scripted(answers.clone()).await.to_string());
        run_in(ID, &target, |_| ()).await
    };
    let said = on_a_calm_machine(attempt, |said| said).await;
    assert_eq!(said.result.outcome, Outcome::Fail, "{:?} {}", said.result.reason, said.result.observed);
    let expected = "20 of 200 (20 answered without the expected text)";
    assert!(said.result.observed.contains(expected), "{}", said.result.observed);
}

#[tokio::test]
async fn an_answer_with_the_headers_of_both_sides_is_one_of_ecs() {
    let bench = Bench::start().await;
    let mut answers = vec![answer("200 OK", &[("x-served-by", "eks")]); 60];
    answers.push(answer("200 OK", &[("x-served-by", "eks"), ("x-served-by", "ecs")]));
    answers.push(answer("200 OK", &[("x-served-by", "eks")]));
    let mut target = bench.target();
    target["resolve"] = json!(scripted(answers).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::PrerequisiteFailed), "{}", said.result.observed);
    assert_eq!(said.measurement.unwrap()["counters"]["servedByEcs"], 1);
}

#[tokio::test]
async fn the_first_answer_of_a_cache_stops_the_load_and_proves_nothing() {
    let bench = Bench::start().await;
    let mut answers = vec![answer("200 OK", &[("x-served-by", "eks"), ("x-cache", "Miss from cloudfront")]); 60];
    answers.push(answer("200 OK", &[("x-served-by", "eks"), ("x-cache", "Hit from cloudfront")]));
    let mut target = bench.target();
    target["durationS"] = json!(30);
    target["resolve"] = json!(scripted(answers).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::ControlFailed), "{}", said.result.observed);
    assert!(said.result.observed.contains("`x-cache: Hit from cloudfront`"), "{}", said.result.observed);
    let value = said.measurement.unwrap();
    assert_eq!(value["cached"], "x-cache: Hit from cloudfront");
    assert!(value["counters"]["ended"].as_u64().unwrap() < 300, "{value}");
}

#[tokio::test]
async fn a_domain_that_a_cache_answers_is_not_loaded() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    let aged = answer("200 OK", &[("x-served-by", "eks"), ("age", "12")]);
    target["resolve"] = json!(scripted(vec![aged]).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::ControlFailed), "{}", said.result.observed);
    assert!(said.result.observed.contains("`age: 12`"), "{}", said.result.observed);
    assert!(said.measurement.is_none());
}

#[tokio::test]
async fn a_good_answer_that_names_no_side_proves_nothing() {
    let bench = Bench::start().await;
    let mut answers = vec![answer("200 OK", &[("x-served-by", "eks")]); 20];
    answers.push(answer("200 OK", &[]));
    let mut target = bench.target();
    target["resolve"] = json!(scripted(answers).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::ControlFailed), "{}", said.result.observed);
}

#[tokio::test]
async fn a_header_that_is_missing_sends_no_load() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target["served"]["header"] = json!("x-side");
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::PrerequisiteFailed), "{}", said.result.observed);
    assert_eq!(bench.eks.requests(), 2);
}

#[tokio::test]
async fn a_server_that_is_down_cannot_tell() {
    let mut bench = Bench::start().await;
    bench.nginx.stop().await.unwrap();
    let said = run(ID, &bench.target()).await;
    assert_eq!(said.result.reason, Some(Reason::Unreachable), "{}", said.result.observed);
}

#[tokio::test]
async fn a_load_too_short_for_its_percentile_is_not_sent() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target["slo"] = json!({ "p99Ms": 5_000 });
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::InsufficientData));
    assert_eq!(bench.eks.requests(), 0);
}

#[tokio::test]
async fn a_cancelled_run_stops_the_load_within_two_seconds() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target["durationS"] = json!(30);
    let scope = Mutex::new(None::<Scope>);
    let cancel = async {
        until(|| bench.eks.requests() > 20).await;
        // From now on every request hangs, so that there is something to break off.
        bench.eks.set(WebBehaviour { delay_ms: 60_000, ..WebBehaviour::default() });
        let before = bench.eks.requests();
        until(|| bench.eks.requests() > before + 20).await;
        scope.lock().unwrap().take().unwrap().cancel();
        Instant::now()
    };
    let running = async {
        let said = run_in(ID, &target, |running| *scope.lock().unwrap() = Some(running)).await;
        (said, Instant::now())
    };
    let ((said, ended), cancelled) = tokio::join!(running, cancel);
    assert_eq!(said.result.reason, Some(Reason::Interrupted));
    assert!(ended - cancelled < Duration::from_secs(2), "{:?}", ended - cancelled);
    let value = said.measurement.unwrap();
    assert!(value["cutOff"].as_u64().unwrap() >= 20, "{value}");
    // Nothing is sent any more.
    let sent = bench.eks.requests();
    Scope::for_tests().sleep(Duration::from_millis(300)).await.unwrap();
    assert_eq!(bench.eks.requests(), sent);
}

/// What stands still here is the generator: its thread is busy with something else again and again.
#[tokio::test]
async fn a_generator_that_does_not_keep_up_cannot_tell() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target["slo"] = json!({ "p50Ms": 5_000 });
    let busy = async {
        loop {
            until(|| bench.eks.requests() > 20).await;
            Scope::for_tests().sleep(Duration::from_millis(50)).await.unwrap();
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(400) {
                std::hint::spin_loop();
            }
        }
    };
    let said = tokio::select! {
        said = run(ID, &target) => said,
        () = busy => unreachable!("it never ends"),
    };
    assert_eq!(said.result.reason, Some(Reason::InsufficientData), "{}", said.result.observed);
    assert!(said.result.observed.contains("did not keep up"), "{}", said.result.observed);
    // What was missed was not made up for in a burst.
    assert!(said.measurement.unwrap()["missed"].as_u64().unwrap() > 0);
}
