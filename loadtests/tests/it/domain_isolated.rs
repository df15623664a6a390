use crate::bench::{Bench, answer, run, scripted};
use preflight_core::{Outcome, Reason};
use serde_json::json;

const ID: &str = "load.domain-isolated";

#[tokio::test]
async fn each_side_behind_its_own_host_name_passes() {
    let bench = Bench::start().await;
    let said = run(ID, &bench.target()).await;
    assert_eq!(said.result.outcome, Outcome::Pass, "{}", said.result.observed);
    assert_eq!((bench.eks.requests(), bench.ecs.requests()), (10, 10));
}

#[tokio::test]
async fn an_isolated_domain_that_ecs_answers_fails() {
    let bench = Bench::with_side("ecs").await;
    let said = run(ID, &bench.target()).await;
    assert_eq!(said.result.outcome, Outcome::Fail);
    assert!(said.result.observed.contains("ECS answered 10 of 10"), "{}", said.result.observed);
    assert!(said.result.remediation.unwrap().text.contains("Route 53"));
    assert!(said.result.evidence[0].detail.contains("x-served-by: ecs"));
}

#[tokio::test]
async fn production_that_eks_answers_fails() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    // A header whose value for EKS is what both services say.
    target["served"] = json!({ "header": "content-type", "eks": "application/json", "ecs": "text/html" });
    let said = run(ID, &target).await;
    assert_eq!(said.result.outcome, Outcome::Fail);
    assert!(said.result.observed.contains("EKS answered 10 of 10 requests to http://shop.test"));
}

#[tokio::test]
async fn a_header_that_is_missing_cannot_tell() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target["served"]["header"] = json!("x-side");
    let said = run(ID, &target).await;
    assert_eq!((said.result.outcome, said.result.reason), (Outcome::Unknown, Some(Reason::ControlFailed)));
    assert!(said.result.observed.contains("without x-side"), "{}", said.result.observed);
}

#[tokio::test]
async fn without_production_nothing_shows_that_the_header_can_tell() {
    let bench = Bench::start().await;
    let mut target = bench.target();
    target.as_object_mut().unwrap().remove("production");
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::ControlFailed));
    assert_eq!(bench.ecs.requests(), 0);
}

#[tokio::test]
async fn an_answer_with_the_headers_of_both_sides_is_one_of_ecs() {
    let bench = Bench::start().await;
    let mut answers = vec![answer("200 OK", &[("x-served-by", "eks")]); 9];
    answers.push(answer("200 OK", &[("x-served-by", "eks"), ("x-served-by", "ecs")]));
    answers.push(answer("200 OK", &[("x-served-by", "ecs")]));
    let mut target = bench.target();
    target["resolve"] = json!(scripted(answers).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.outcome, Outcome::Fail, "{}", said.result.observed);
    assert!(said.result.observed.contains("ECS answered 1 of 10"), "{}", said.result.observed);
    assert!(said.result.evidence[0].detail.contains("1 × 200 with x-served-by: eks, ecs"));
}

#[tokio::test]
async fn a_header_with_something_else_beside_eks_cannot_tell() {
    let bench = Bench::start().await;
    let mut answers = vec![answer("200 OK", &[("x-served-by", "eks"), ("x-served-by", "cache-7")]); 10];
    answers.push(answer("200 OK", &[("x-served-by", "ecs")]));
    let mut target = bench.target();
    target["resolve"] = json!(scripted(answers).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::ControlFailed), "{}", said.result.observed);
}

#[tokio::test]
async fn an_answer_of_a_cache_cannot_tell() {
    let bench = Bench::start().await;
    let mut answers = vec![answer("200 OK", &[("x-served-by", "eks")]); 10];
    answers.push(answer("200 OK", &[("x-served-by", "ecs"), ("x-cache", "HIT")]));
    let mut target = bench.target();
    target["resolve"] = json!(scripted(answers).await.to_string());
    let said = run(ID, &target).await;
    assert_eq!(said.result.reason, Some(Reason::ControlFailed), "{}", said.result.observed);
    assert!(said.result.observed.contains("http://shop.test (`x-cache: HIT`)"), "{}", said.result.observed);
}

#[tokio::test]
async fn a_server_that_is_down_cannot_tell() {
    let mut bench = Bench::start().await;
    bench.nginx.stop().await.unwrap();
    let said = run(ID, &bench.target()).await;
    assert_eq!(said.result.reason, Some(Reason::Unreachable), "{}", said.result.observed);
}
