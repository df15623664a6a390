//! Amazon SQS: one test queue for each side, copies by sending again.
//!
//! Every send makes a new message id, so a copy with the same id cannot be forced from outside; schedules that need it
//! are reported as not tried. In a FIFO queue every copy has a deduplication id of its own, or the broker would swallow
//! it. That a copy arrived is seen from the queue's counts, all of them zero; they are approximate, hence the long floor.

use super::lever::{WITHDRAW_MAX, carries_any};
use super::{BrokerError, Depth, Lever, Outgoing, Sides, Withdrawn};
use crate::env::Env;
use crate::schedule::{Identity, Side};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use futures::future::BoxFuture;
use preflight_core::Right;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The longest one call may take, retries included.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How long a message stays hidden while it is looked at to see whose it is.
const PEEK_SECONDS: i32 = 5;

/// What looking into a queue takes, and taking this tool's own messages out of it.
const LOOK: [&str; 4] =
    ["sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"];

/// Amazon SQS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Sqs {
    /// The URL of each side's test queue.
    pub queues: Sides<String>,
    /// URLs of the queues that rejected messages end in. A message that arrives there during the check fails it. The
    /// one of a queue's `RedrivePolicy` is watched without being named here.
    #[serde(default)]
    pub dead_letters: Vec<String>,
}

struct SqsLever {
    settings: Sqs,
    client: Client,
    /// Without retries: a send that is repeated after a lost answer makes a copy that nobody asked for.
    sender: Client,
}

impl Sqs {
    pub(crate) fn endpoint(&self) -> Option<&str> {
        None
    }

    /// Sending to the test queues, and looking at them and at those of rejected messages. Where none of the latter is named,
    /// the queues themselves say at run time which ones they are, and until then it may be any of the account.
    pub(crate) fn rights(&self, region: Option<&str>) -> Vec<Right> {
        let sides = || [&self.queues.ecs, &self.queues.eks].into_iter();
        let arn = |url: &String| arn_of(url, region);
        let any = |url| arn(url).and_then(|arn| arn.rsplit_once(':').map(|(account, _)| format!("{account}:*")));
        let send = sides().map(|url| Right::aws("sqs:SendMessage", arn(url)));
        let known = sides().chain(&self.dead_letters).map(arn);
        let unknown: Vec<_> = if self.dead_letters.is_empty() { sides().map(any).collect() } else { vec![] };
        let find = unknown.clone().into_iter().map(|arn| Right::aws("sqs:GetQueueUrl", arn));
        let look = known.chain(unknown).flat_map(|arn| LOOK.iter().map(move |one| Right::aws(one, arn.clone())));
        send.chain(look).chain(find).collect()
    }

    pub(crate) async fn open(&self, env: &Env) -> Result<Box<dyn Lever>, BrokerError> {
        let region = env.aws.region.clone().or_else(|| region_of(&self.queues.ecs));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_LIMIT).build());
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Some(keys) = &env.aws.credentials {
            let session = keys.session_token.as_ref().map(|token| token.reveal().to_owned());
            let secret = keys.secret_access_key.reveal();
            loader =
                loader.credentials_provider(Credentials::new(&keys.access_key_id, secret, session, None, "settings"));
        }
        let shared = loader.load().await;
        let build = |retry: RetryConfig| {
            let mut config = aws_sdk_sqs::config::Builder::from(&shared).retry_config(retry);
            if let Some(url) = env.aws.endpoints.sqs.clone().or_else(|| private_origin(&self.queues.ecs)) {
                config = config.endpoint_url(url);
            }
            Client::from_conf(config.build())
        };
        let (client, sender) = (build(RetryConfig::standard()), build(RetryConfig::disabled()));
        Ok(Box::new(SqsLever { settings: self.clone(), client, sender }))
    }
}

/// `eu-west-1` of `https://sqs.eu-west-1.amazonaws.com/…`.
fn region_of(queue_url: &str) -> Option<String> {
    let url = url::Url::parse(queue_url).ok()?;
    let rest = url.host_str()?.strip_prefix("sqs.")?;
    rest.split_once(".amazonaws.com").map(|(region, _)| region.to_owned())
}

/// The ARN of a queue, as far as its URL tells it: `https://HOST/ACCOUNT/NAME`.
fn arn_of(queue_url: &str, region: Option<&str>) -> Option<String> {
    let url = url::Url::parse(queue_url).ok()?;
    let of_url = region_of(queue_url);
    let region = of_url.as_deref().or(region)?;
    let (account, name) = url.path().strip_prefix('/')?.split_once('/')?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let partition = match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    is_account.then(|| format!("arn:{partition}:sqs:{region}:{account}:{name}"))
}

/// Where a queue is that is not at one of AWS' public addresses.
fn private_origin(queue_url: &str) -> Option<String> {
    let url = url::Url::parse(queue_url).ok()?;
    let host = url.host_str()?;
    let public = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
    (!public).then(|| url.origin().ascii_serialization())
}

/// A queue's ARN.
struct Arn<'a> {
    whole: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(whole: &'a str) -> Option<Self> {
        match *whole.split(':').collect::<Vec<_>>() {
            ["arn", _, "sqs", _, account, name] => Some(Self { whole, account, name }),
            _ => None,
        }
    }
}

/// Where a `RedrivePolicy` sends what was received too often.
fn dead_letter_target(policy: &str) -> Option<String> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    policy["deadLetterTargetArn"].as_str().map(str::to_owned)
}

/// The last part of a queue's URL: its name.
fn name(queue_url: &str) -> &str {
    queue_url.rsplit('/').next().unwrap_or(queue_url)
}

fn broker_error<E>(queue_url: &str, error: SdkError<E>) -> BrokerError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let queue = name(queue_url).to_owned();
    if let Some(code) = error.as_service_error().and_then(|error| error.code()) {
        let code = code.to_owned();
        let message = error.message().unwrap_or("no message").to_owned();
        let detail = format!("{code}: {message}");
        return match code.rsplit(['.', '#']).next().unwrap_or_default() {
            "NonExistentQueue" | "QueueDoesNotExist" => BrokerError::Queue { queue, detail },
            "RequestThrottled" | "ThrottlingException" | "InternalFailure" | "InternalError" | "ServiceUnavailable" => {
                BrokerError::Unreachable { broker: format!("SQS queue `{queue}`"), detail }
            }
            _ => BrokerError::Refused { broker: format!("SQS queue `{queue}`"), detail },
        };
    }
    BrokerError::Unreachable { broker: format!("SQS queue `{queue}`"), detail: DisplayErrorContext(error).to_string() }
}

impl SqsLever {
    async fn send(&self, side: Side, copy: &Outgoing) -> Result<(), BrokerError> {
        let url = self.settings.queues.of(side);
        let mut send = self.sender.send_message().queue_url(url).message_body(&copy.body);
        for (name, value) in &copy.headers {
            let attribute = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let attribute = attribute.map_err(|error| BrokerError::Unsendable {
                what: format!("attribute `{name}`"),
                detail: error.to_string(),
            })?;
            send = send.message_attributes(name, attribute);
        }
        if url.ends_with(".fifo") {
            send = send.message_group_id(&copy.key).message_deduplication_id(&copy.message_id);
        }
        send.send().await.map(drop).map_err(|error| broker_error(url, error))
    }

    async fn attribute(&self, url: &str, name: QueueAttributeName) -> Result<Option<String>, BrokerError> {
        let request = self.client.get_queue_attributes().queue_url(url).attribute_names(name.clone());
        let answer = request.send().await.map_err(|error| broker_error(url, error))?;
        Ok(answer.attributes().and_then(|attributes| attributes.get(&name)).cloned())
    }

    async fn arn(&self, url: &str) -> Result<String, BrokerError> {
        self.attribute(url, QueueAttributeName::QueueArn).await?.ok_or_else(|| BrokerError::Queue {
            queue: name(url).to_owned(),
            detail: "the answer has no QueueArn".to_owned(),
        })
    }

    /// The URL of a queue that can be read, by its ARN.
    async fn url_of(&self, target: &Arn<'_>) -> Result<String, BrokerError> {
        let request = self.client.get_queue_url().queue_name(target.name).queue_owner_aws_account_id(target.account);
        let answer = request.send().await.map_err(|error| broker_error(target.name, error))?;
        let url = answer.queue_url().unwrap_or_default();
        let found = self.arn(url).await?;
        if found != target.whole {
            let detail = format!("the queue of this name is {found}");
            return Err(BrokerError::Queue { queue: target.name.to_owned(), detail });
        }
        self.counts(url).await?;
        Ok(url.to_owned())
    }

    /// The ARNs of the dead-letter queues that are watched already.
    async fn watched(&self) -> Result<BTreeSet<String>, BrokerError> {
        let mut arns = BTreeSet::new();
        for url in &self.settings.dead_letters {
            arns.insert(self.arn(url).await?);
        }
        Ok(arns)
    }

    async fn counts(&self, url: &str) -> Result<Depth, BrokerError> {
        use QueueAttributeName as Name;
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesDelayed,
            Name::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let answer = request.send().await.map_err(|error| broker_error(url, error))?;
        let count = |name: &Name| -> Result<u64, BrokerError> {
            let text = answer.attributes().and_then(|attributes| attributes.get(name));
            text.and_then(|text| text.parse().ok()).ok_or_else(|| BrokerError::Queue {
                queue: crate::broker::sqs::name(url).to_owned(),
                detail: format!("the answer has no {name}"),
            })
        };
        let [visible, delayed, hidden] = [count(&names[0])?, count(&names[1])?, count(&names[2])?];
        Ok(Depth { waiting: visible + delayed, in_flight: Some(hidden), consumers: None })
    }

    async fn withdraw_from(&self, url: &str, keys: &[String]) -> Result<Withdrawn, BrokerError> {
        let mut found = Withdrawn::default();
        let mut others = Vec::new();
        while others.len() < WITHDRAW_MAX && self.counts(url).await?.waiting > 0 {
            let receive = self.client.receive_message().queue_url(url).max_number_of_messages(10);
            let receive = receive.visibility_timeout(PEEK_SECONDS).wait_time_seconds(1);
            let answer = receive.send().await.map_err(|error| broker_error(url, error))?;
            if answer.messages().is_empty() {
                break;
            }
            for message in answer.messages() {
                let Some(handle) = message.receipt_handle() else { continue };
                if !carries_any(message.body().unwrap_or_default().as_bytes(), keys) {
                    others.push(handle.to_owned());
                    continue;
                }
                let delete = self.client.delete_message().queue_url(url).receipt_handle(handle);
                delete.send().await.map_err(|error| broker_error(url, error))?;
                found.own += 1;
            }
        }
        for handle in others {
            let show = self.client.change_message_visibility().queue_url(url).receipt_handle(handle);
            // One that cannot be shown at once comes back by itself.
            drop(show.visibility_timeout(0).send().await);
            found.others += 1;
        }
        Ok(found)
    }
}

impl Lever for SqsLever {
    fn identities(&self) -> &'static [Identity] {
        &[Identity::NewId]
    }

    fn floor(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn prepare(&mut self) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async {
            let urls = &self.settings.queues;
            let (ecs, eks) = (self.arn(&urls.ecs).await?, self.arn(&urls.eks).await?);
            if ecs == eks {
                let detail = format!("`{}` is the same queue, {ecs}: each side needs its own", urls.ecs);
                return Err(BrokerError::Queue { queue: name(&urls.eks).to_owned(), detail });
            }
            Ok(())
        })
    }

    fn follow_dead_letters(&mut self) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async {
            let mut watched = self.watched().await?;
            for side in Side::BOTH {
                let url = self.settings.queues.of(side);
                let policy = self.attribute(url, QueueAttributeName::RedrivePolicy).await?;
                let Some(policy) = policy.filter(|policy| !policy.is_empty()) else { continue };
                let target = dead_letter_target(&policy).unwrap_or(policy);
                if watched.contains(&target) {
                    continue;
                }
                let unknown = || BrokerError::DeadLetters("that is not the ARN of a queue".to_owned());
                let found = match Arn::parse(&target) {
                    Some(arn) => self.url_of(&arn).await,
                    None => Err(unknown()),
                };
                let found = found.map_err(|error| error.of_dead_letters(name(url), &format!("`{target}`")))?;
                self.settings.dead_letters.push(found);
                watched.insert(target);
            }
            Ok(())
        })
    }

    fn last_floor(&self) -> Option<Duration> {
        None
    }

    fn witness(&self) -> &'static str {
        "every send was answered; after each round the visible, delayed and in-flight counts of both queues were zero, so every copy was received and deleted"
    }

    fn queue(&self, side: Side) -> &str {
        name(self.settings.queues.of(side))
    }

    fn publish<'a>(&'a self, side: Side, copy: &'a Outgoing) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(self.send(side, copy))
    }

    fn depth(&self, side: Side) -> BoxFuture<'_, Result<Depth, BrokerError>> {
        Box::pin(self.counts(self.settings.queues.of(side)))
    }

    /// A queue tells nothing of who reads it.
    fn is_read(&self) -> BoxFuture<'_, Result<bool, BrokerError>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Option<u64>, BrokerError>> {
        Box::pin(async {
            let mut total = 0;
            for side in Side::BOTH {
                let depth = self.counts(self.settings.queues.of(side)).await?;
                total += depth.waiting + depth.in_flight.unwrap_or(0);
            }
            Ok(Some(total))
        })
    }

    fn dead_letters(&self) -> BoxFuture<'_, Result<u64, BrokerError>> {
        Box::pin(async {
            let mut total = 0;
            for url in &self.settings.dead_letters {
                total += self.counts(url).await?.waiting;
            }
            Ok(total)
        })
    }

    fn places(&self) -> Vec<&str> {
        let queues = &self.settings.queues;
        [&queues.ecs, &queues.eks].into_iter().chain(&self.settings.dead_letters).map(String::as_str).collect()
    }

    fn waiting<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<u64, BrokerError>> {
        Box::pin(async { Ok(self.counts(place).await?.waiting) })
    }

    fn withdraw<'a>(&'a self, place: &'a str, keys: &'a [String]) -> BoxFuture<'a, Result<Withdrawn, BrokerError>> {
        Box::pin(self.withdraw_from(place, keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects_observable::PERMISSIONS;
    use preflight_core::Permission;

    #[test]
    fn sending_is_asked_for_on_the_test_queues_alone_and_nothing_beyond_the_permissions() {
        let url = |name| format!("https://sqs.eu-west-1.amazonaws.com/111122223333/{name}");
        let queues = Sides { ecs: url("a"), eks: url("b") };
        let rights = Sqs { queues, dead_letters: vec![url("dead")] }.rights(None);
        let on = |action: &'static str| {
            let fits = rights.iter().filter(|one| one.permission == Permission::Aws { action });
            fits.filter_map(|one| one.name.as_deref()?.rsplit(':').next()).collect::<Vec<_>>()
        };
        assert_eq!(on("sqs:SendMessage"), ["a", "b"]);
        assert_eq!(on("sqs:DeleteMessage"), ["a", "b", "dead"]);
        assert!(on("sqs:GetQueueUrl").is_empty(), "what is named need not be found");
        assert!(rights.iter().all(|one| PERMISSIONS.contains(&one.permission)));
    }

    #[test]
    fn region_and_endpoint_are_read_from_the_queues_url() {
        let public = "https://sqs.eu-west-1.amazonaws.com/111122223333/orders-ecs";
        assert_eq!(region_of(public).as_deref(), Some("eu-west-1"));
        assert_eq!(private_origin(public), None);
        let own = "http://127.0.0.1:9324/111122223333/orders-ecs";
        assert_eq!(region_of(own), None);
        assert_eq!(private_origin(own).as_deref(), Some("http://127.0.0.1:9324"));
        assert_eq!(name(own), "orders-ecs");
        assert_eq!(arn_of(public, None).as_deref(), Some("arn:aws:sqs:eu-west-1:111122223333:orders-ecs"));
        assert_eq!(
            arn_of(own, Some("cn-north-1")).as_deref(),
            Some("arn:aws-cn:sqs:cn-north-1:111122223333:orders-ecs")
        );
        assert_eq!(arn_of(own, None), None);
    }

    #[test]
    fn the_target_of_a_redrive_policy_is_read() {
        let target = dead_letter_target(
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:orders-dead","maxReceiveCount":3}"#,
        )
        .unwrap();
        let arn = Arn::parse(&target).unwrap();
        assert_eq!((arn.account, arn.name, arn.whole), ("111122223333", "orders-dead", target.as_str()));
        assert_eq!(dead_letter_target("{}"), None);
        assert!(Arn::parse("arn:aws:sns:eu-west-1:111122223333:orders").is_none());
    }
}
