//! Policies from the field, each with the verdict that IAM is known to give, and laws that hold for all.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const PROVIDER: &str = "oidc.eks.eu-west-1.amazonaws.com/id/LAB";
const ARN: &str = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/LAB";
const SUBJECT: &str = "system:serviceaccount:shop:orders";

fn caller() -> Caller {
    Caller {
        issuer: format!("https://{PROVIDER}"),
        subject: SUBJECT.to_owned(),
        audience: "sts.amazonaws.com".to_owned(),
        account_id: "111122223333".to_owned(),
        partition: "aws".to_owned(),
    }
}

fn allow(condition: Value) -> Value {
    json!({ "Effect": "Allow", "Principal": { "Federated": ARN }, "Action": ACTION, "Condition": condition })
}

fn judged(statements: Value) -> Judgement {
    judge(&json!({ "Version": "2012-10-17", "Statement": statements }).to_string(), &caller()).unwrap()
}

fn sub(operator: &str, value: &str) -> Value {
    json!({ operator: { format!("{PROVIDER}:sub"): value } })
}

fn decision(condition: Value) -> Decision {
    judged(allow(condition)).decision
}

#[test]
fn the_policy_of_the_user_guide_allows() {
    let condition = json!({ "StringEquals": {
        format!("{PROVIDER}:sub"): SUBJECT, format!("{PROVIDER}:aud"): "sts.amazonaws.com" } });
    let judgement = judged(allow(condition));
    assert_eq!(judgement.decision, Decision::Allow);
    assert_eq!((judgement.because, judgement.lint), (vec!["statement 1 allows it".to_owned()], vec![]));
}

#[test]
fn subjects_are_compared_as_their_operator_says() {
    use Decision::{Allow, Deny};
    let other = "system:serviceaccount:shop:billing";
    for (operator, value, expected) in [
        ("StringEquals", SUBJECT, Allow),
        ("StringEquals", other, Deny),
        ("StringEquals", "system:serviceaccount:shop:Orders", Deny),
        ("StringEquals", "shop:orders", Deny),
        ("StringEquals", "system:serviceaccount:shop:*", Deny),
        ("StringEqualsIgnoreCase", "SYSTEM:serviceaccount:shop:Orders", Allow),
        ("StringLike", "system:serviceaccount:shop:*", Allow),
        ("StringLike", "system:serviceaccount:*:orders", Allow),
        ("StringLike", "system:serviceaccount:shop:order?", Allow),
        ("StringLike", "system:serviceaccount:shop:order??", Deny),
        ("StringLike", "system:serviceaccount:shop:order", Deny),
        ("StringNotEquals", other, Allow),
        ("StringNotEquals", SUBJECT, Deny),
        ("StringNotLike", "*:orders", Deny),
        ("StringNotEqualsIgnoreCase", "SYSTEM:SERVICEACCOUNT:SHOP:ORDERS", Deny),
        ("StringEqualsIfExists", SUBJECT, Allow),
        ("StringEqualsIfExists", other, Deny),
        ("ForAnyValue:StringEquals", SUBJECT, Allow),
        ("ForAnyValue:StringLike", "*:billing", Deny),
        ("ForAllValues:StringLike", "*:orders", Allow),
        ("ForAllValues:StringNotLike", "*:orders", Deny),
        ("Null", "false", Allow),
        ("Null", "true", Deny),
    ] {
        assert_eq!(decision(sub(operator, value)), expected, "{operator} {value}");
    }
}

#[test]
fn values_are_joined_by_or_and_keys_and_operators_by_and() {
    let key = format!("{PROVIDER}:sub");
    let either = json!({ "StringEquals": { &key: ["system:serviceaccount:shop:billing", SUBJECT] } });
    assert_eq!(decision(either), Decision::Allow);
    let both = json!({ "StringLike": { &key: "*:orders" }, "StringEquals": { format!("{PROVIDER}:aud"): "vault" } });
    let judgement = judged(allow(both));
    assert_eq!(judgement.decision, Decision::Deny);
    assert!(judgement.because[0].contains("the policy wants `vault`, the request has `sts.amazonaws.com`"));
    assert_eq!(decision(json!({ "StringEquals": { &key: [] } })), Decision::Deny);
}

#[test]
fn a_key_of_another_issuer_is_absent() {
    let key = "oidc.eks.eu-west-1.amazonaws.com/id/OLD:sub";
    let with = |operator: &str| decision(json!({ operator: { key: SUBJECT } }));
    assert_eq!(with("StringEquals"), Decision::Deny);
    assert_eq!(with("ForAnyValue:StringEquals"), Decision::Deny);
    assert_eq!(with("StringNotEquals"), Decision::Allow);
    assert_eq!(with("StringEqualsIfExists"), Decision::Allow);
    assert_eq!(with("ForAllValues:StringEquals"), Decision::Allow);
    assert_eq!(decision(json!({ "Null": { key: "true" } })), Decision::Allow);
    let scheme = judged(allow(json!({ "StringEquals": { format!("https://{PROVIDER}:sub"): SUBJECT } })));
    assert_eq!((scheme.decision, scheme.lint[0].id), (Decision::Deny, "wrong-key"));
    // Keys have no case.
    let upper = format!("{}:SUB", PROVIDER.to_uppercase());
    assert_eq!(decision(json!({ "StringEquals": { upper: SUBJECT } })), Decision::Allow);
}

#[test]
fn the_audience_under_the_wrong_key_denies() {
    let swapped = json!({ "StringEquals": { format!("{PROVIDER}:aud"): SUBJECT } });
    assert_eq!(decision(swapped), Decision::Deny);
}

#[test]
fn only_the_own_provider_is_a_match() {
    for (principal, expected) in [
        (json!({ "Federated": ARN }), Decision::Allow),
        (json!({ "Federated": ["cognito-identity.amazonaws.com", ARN] }), Decision::Allow),
        (json!({ "Federated": ARN.replace("1111", "4444") }), Decision::Deny),
        (json!({ "Federated": ARN.replace("oidc.eks.eu-west-1", "oidc.eu-west-1.eks") }), Decision::Deny),
        (json!({ "Federated": PROVIDER }), Decision::Deny),
        (json!({ "Service": "ecs-tasks.amazonaws.com" }), Decision::Deny),
        (json!({ "AWS": "arn:aws:iam::111122223333:root" }), Decision::Deny),
        (json!("*"), Decision::CannotTell),
        (json!({ "AWS": "*" }), Decision::CannotTell),
    ] {
        let statement = json!({ "Effect": "Allow", "Principal": principal, "Action": ACTION });
        assert_eq!(judged(statement).decision, expected, "{principal}");
    }
}

#[test]
fn actions_have_wildcards_and_no_case() {
    for (name, action, expected) in [
        ("Action", json!("STS:assumerolewithwebidentity"), Decision::Allow),
        ("Action", json!(["sts:AssumeRole", "sts:*"]), Decision::Allow),
        ("Action", json!("sts:AssumeRole*"), Decision::Allow),
        ("Action", json!("sts:AssumeRole"), Decision::Deny),
        ("NotAction", json!("sts:TagSession"), Decision::Allow),
        ("NotAction", json!("sts:Assume*"), Decision::Deny),
    ] {
        let statement = json!({ "Effect": "Allow", "Principal": { "Federated": ARN }, name: action });
        assert_eq!(judged(statement).decision, expected, "{name} {action}");
    }
}

#[test]
fn an_explicit_deny_wins_and_says_so() {
    let deny = json!({ "Sid": "NotToday", "Effect": "Deny", "Principal": "*", "Action": "sts:*" });
    let judgement = judged(json!([allow(json!({})), deny]));
    assert_eq!(judgement.decision, Decision::Deny);
    assert_eq!(judgement.because, ["statement 2 (NotToday) denies it explicitly"]);
}

#[test]
fn what_is_not_known_cannot_be_told_unless_another_statement_decides() {
    let address = json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } });
    let judgement = judged(allow(address.clone()));
    assert_eq!(judgement.decision, Decision::CannotTell);
    assert!(judgement.because[0].contains("the operator IpAddress is not known here"), "{judgement:?}");
    assert_eq!(decision(json!({ "StringEquals": { "aws:SourceVpc": "vpc-1" } })), Decision::CannotTell);
    assert_eq!(judged(json!([allow(address.clone()), allow(json!({}))])).decision, Decision::Allow);
    let both = json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" },
        "StringEquals": { format!("{PROVIDER}:sub"): "nobody" } });
    assert_eq!(decision(both), Decision::Deny);
    let deny = json!({ "Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": address });
    assert_eq!(judged(json!([allow(json!({})), deny])).decision, Decision::CannotTell);
    let mut odd = allow(json!({}));
    odd["Resource"] = json!("*");
    assert_eq!(judged(odd).decision, Decision::CannotTell);
}

#[test]
fn variables_are_those_of_the_version_of_2012() {
    let literal = sub("StringLike", "system:serviceaccount:shop:${*}");
    assert_eq!(decision(literal), Decision::Deny);
    let own = json!({ "StringEquals": { format!("{PROVIDER}:sub"): format!("${{{PROVIDER}:sub}}") } });
    assert_eq!(decision(own.clone()), Decision::Allow);
    let unknown = sub("StringEquals", "system:serviceaccount:shop:${aws:PrincipalTag/app}");
    assert_eq!(decision(unknown), Decision::CannotTell);
    let default = sub("StringEquals", "system:serviceaccount:shop:${other:sub, 'orders'}");
    assert_eq!(decision(default), Decision::Allow);
    let old = json!({ "Version": "2008-10-17", "Statement": allow(own) }).to_string();
    assert_eq!(judge(&old, &caller()).unwrap().decision, Decision::Deny);
}

#[test]
fn doubtful_policies_are_named() {
    let ids = |statements: Value| judged(statements).lint.into_iter().map(|lint| lint.id).collect::<Vec<_>>();
    assert_eq!(ids(allow(json!({}))), ["any-service-account", "any-audience"]);
    let with = |operator: &str, value: &str| {
        ids(allow(
            json!({ operator: { format!("{PROVIDER}:sub"): value, format!("{PROVIDER}:aud"): "sts.amazonaws.com" } }),
        ))
    };
    assert_eq!(with("StringLike", "system:serviceaccount:*:*"), ["any-service-account"]);
    assert_eq!(with("StringLike", "system:serviceaccount:shop:*"), ["any-name"]);
    assert_eq!(with("StringEquals", "system:serviceaccount:shop:*"), ["wildcard-under-equals"]);
    assert_eq!(with("StringEqualsIfExists", SUBJECT), ["passes-without-key", "passes-without-key"]);
    let ecs =
        json!({ "Effect": "Allow", "Principal": { "Service": "ecs-tasks.amazonaws.com" }, "Action": "sts:AssumeRole" });
    assert_eq!(ids(ecs), ["ecs-only"]);
}

#[test]
fn what_is_not_a_policy_is_an_error_that_says_where() {
    let error = |text: &str| judge(text, &caller()).unwrap_err().to_string();
    assert!(error("{").contains("no JSON"));
    assert!(error("{}").contains("no `Statement`"));
    assert!(error(r#"{"Statement":[{"Sid":"A","Effect":"allow"}]}"#).contains("statement 1 (A): `Effect`"));
    assert!(error(&" ".repeat(70_000)).contains("larger"));
    assert!(judge(r#"{"Statement":[]}"#, &caller()).unwrap().because[0].contains("no statement"));
}

#[test]
fn a_key_that_stands_twice_anywhere_is_refused_and_the_same_key_in_two_objects_is_not() {
    let with = |condition: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"Federated": "{}"}},
                "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {{{condition}}}}}}}"#,
            caller().provider_arn()
        )
    };
    let of = |operator: &str, value: &str| format!(r#""{operator}": {{"{}:sub": "{value}"}}"#, caller().provider());
    let (own, other) = (caller().subject, "system:serviceaccount:shop:billing");
    let once = format!("{}, {}", of("StringEquals", &own), of("StringLike", &own));
    assert_eq!(judge(&with(&once), &caller()).unwrap().decision, Decision::Allow);
    assert_eq!(judge(&with(&of("StringEquals", other)), &caller()).unwrap().decision, Decision::Deny);
    let twice = format!("{}, {}", of("StringEquals", other), of("StringEquals", &own));
    for text in
        [with(&twice), r#"{"Statement": [], "Statement": []}"#.to_owned(), r#"{"Id": "a", "\u0049d": "b"}"#.to_owned()]
    {
        let error = judge(&text, &caller()).unwrap_err();
        assert!(matches!(&error, PolicyError::Ambiguous(why) if why.contains("stands twice")), "{error}");
    }
}

fn any_condition() -> impl Strategy<Value = Value> {
    let operators = prop::sample::select(vec![
        "StringEquals",
        "StringLike",
        "StringNotEquals",
        "StringLikeIfExists",
        "ForAllValues:StringLike",
        "ForAnyValue:StringNotLike",
        "IpAddress",
        "Null",
    ]);
    let keys = prop::sample::select(vec!["oidc.eks.eu-west-1.amazonaws.com/id/LAB:sub", "other:aud", "aws:SourceIp"]);
    let values = prop::sample::select(vec![SUBJECT, "system:serviceaccount:shop:*", "*", "true", "${aws:x}", "nobody"]);
    (operators, keys, prop::collection::vec(values, 0..3))
        .prop_map(|(operator, key, values)| json!({ operator: { key: values } }))
}

fn any_statement(effect: &'static str) -> impl Strategy<Value = Value> {
    let principal = prop::sample::select(vec![json!("*"), json!({ "Federated": ARN }), json!({ "Service": "ecs" })]);
    let action = prop::sample::select(vec!["sts:*", "sts:AssumeRole", ACTION]);
    (principal, action, any_condition()).prop_map(move |(principal, action, condition)| {
        json!({ "Effect": effect, "Principal": principal, "Action": action, "Condition": condition })
    })
}

fn any_statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(prop_oneof![any_statement("Allow"), any_statement("Deny")], 0..5)
}

/// How far a decision is from letting the caller in.
fn strictness(statements: &[Value]) -> u8 {
    match judged(json!(statements)).decision {
        Decision::Allow => 0,
        Decision::CannotTell => 1,
        Decision::Deny => 2,
    }
}

proptest! {
    #[test]
    fn another_deny_never_opens_and_another_allow_never_closes(
        statements in any_statements(), deny in any_statement("Deny"), allow in any_statement("Allow")
    ) {
        let before = strictness(&statements);
        prop_assert!(strictness(&[statements.clone(), vec![deny]].concat()) >= before);
        prop_assert!(strictness(&[statements, vec![allow]].concat()) <= before);
    }

    #[test]
    fn the_order_of_statements_does_not_matter(statements in any_statements(), turn in 0_usize..5) {
        let mut turned = statements.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        prop_assert_eq!(strictness(&turned), strictness(&statements));
        turned.reverse();
        prop_assert_eq!(strictness(&turned), strictness(&statements));
    }

    #[test]
    fn a_condition_more_never_lets_more_callers_in(condition in any_condition(), more in any_condition()) {
        let mut both = condition.as_object().unwrap().clone();
        let (operator, keys) = more.as_object().unwrap().iter().next().unwrap();
        if !both.contains_key(operator) {
            both.insert(operator.clone(), keys.clone());
        }
        prop_assert!(strictness(&[allow(json!(both))]) >= strictness(&[allow(condition)]));
    }

    #[test]
    fn wildcards_match_what_a_plain_reading_of_them_matches(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        fn plain(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern, text) {
                ([], []) => true,
                ([b'*', rest @ ..], _) => plain(rest, text) || !text.is_empty() && plain(pattern, &text[1..]),
                ([b'?', rest @ ..], [_, left @ ..]) => plain(rest, left),
                ([first, rest @ ..], [next, left @ ..]) => first == next && plain(rest, left),
                _ => false,
            }
        }
        prop_assert_eq!(Pattern::wildcards(&pattern).matches(&text), plain(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,200}") {
        let _ = judge(&text, &caller());
    }
}
