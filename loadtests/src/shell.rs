//! goose as the shell of a load, and how it is kept from what belongs to the program around it.
//!
//! Read from the source of goose 0.19.0: every attack
//!
//! - calls `ctrlc::set_handler`, which takes SIGINT away from whoever handled it before, tokio included, and ends the
//!   process with code 1 on a second Ctrl-C. That crate sets one handler in the life of a process, so whoever comes first
//!   keeps it: [`claim_interrupts`] does;
//! - sets a global logger that writes to the terminal. It, too, can be set once; a silent one is set before;
//! - listens for telnet on 127.0.0.1:5116 unless told not to;
//! - prints its own metrics unless told not to collect any, and with `iterations` it prints how many users it launched
//!   in any case. So the work is a transaction that a user runs once, when it starts, and each user says itself that it is
//!   done;
//! - is stopped by a switch that belongs to the process, so one attack at a time.

use goose::GooseError;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction};
use goose::{GooseAttack, trigger_killswitch};
use std::pin::Pin;
use std::sync::{Arc, Once};
use tokio::sync::Mutex;

/// The switch of goose belongs to the process, and two loads at once would disturb each other anyway.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Keeps goose from taking SIGINT away from the program.
///
/// Call it once, before the program listens for signals: a listener of tokio's that comes later is told as well. A load
/// that runs when SIGINT comes stops by itself.
pub fn claim_interrupts() {
    static ONCE: Once = Once::new();
    // If somebody else set a handler with that crate before, goose cannot set its own either.
    ONCE.call_once(|| drop(ctrlc::set_handler(|| trigger_killswitch("SIGINT"))));
}

/// A logger that drops everything.
struct Silent;

impl log::Log for Silent {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        false
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}

/// What one user does, once.
pub(crate) trait Work: Send + Sync + 'static {
    /// Ends when there is nothing more to do or when it is told to stop.
    fn work<'a>(self: Arc<Self>, user: &'a mut GooseUser) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// Whether goose was told to stop, by SIGINT.
pub(crate) fn is_stopped() -> bool {
    goose::is_killswitch_triggered()
}

/// Waits for its turn.
pub(crate) async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

/// Lets so many users work, and returns when all of them are done.
pub(crate) async fn attack(host: &str, users: usize, work: Arc<impl Work>) -> Result<(), GooseError> {
    claim_interrupts();
    let _ = log::set_logger(&Silent);
    let mut configuration = GooseConfiguration::default();
    configuration.host = Some(host.to_owned());
    configuration.users = Some(users);
    configuration.increase_rate = Some("2000".to_owned());
    configuration.no_telnet = true;
    configuration.no_metrics = true;
    configuration.quiet = 1;
    let transaction: TransactionFunction = Arc::new(move |user: &mut GooseUser| {
        let work = Arc::clone(&work);
        Box::pin(async move {
            work.work(user).await;
            if let Some(parent) = &user.shutdown_channel {
                // What goose sends for a user that did its iterations; nobody listens any more if the attack is over.
                let _ = parent.send(user.weighted_users_index + 1);
            }
            Ok(())
        })
    });
    GooseAttack::initialize_with_config(configuration)?
        // One client for all, or goose builds one for each user; ours replaces it.
        .set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies())?
        .register_scenario(Scenario::new("load").register_transaction(Transaction::new(transaction).set_on_start()))
        .execute()
        .await
        .map(drop)
}
