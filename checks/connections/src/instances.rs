//! How many pods or tasks of a workload hold connections at the same instant.
//!
//! A deployment does not only add its surge: pods and tasks that are told to end keep their pools open until they are
//! gone, and neither Kubernetes nor ECS counts them any more. Whatever the surge is, one deployment holds at most every
//! old instance and every new one. More is possible only when a second one starts before the first has drained; that is
//! the worst scenario.

use crate::headroom::Instances;

/// What governs a workload's number. The counts are those at the maximum of an autoscaler, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    /// A Deployment of Kubernetes.
    Deployment {
        replicas: u64,
        /// Pods above the wanted number; none with the strategy `Recreate`.
        surge: Option<Amount>,
        /// Whether a new pod waits until an old one is gone (`podReplacementPolicy: TerminationComplete`).
        waits_for_termination: bool,
    },
    /// A StatefulSet: a pod is gone before the one of the same name comes.
    StatefulSet { replicas: u64 },
    /// A DaemonSet on so many nodes.
    DaemonSet { nodes: u64, surge: Amount },
    /// A Job.
    Job { parallelism: u64 },
    /// A CronJob.
    CronJob { parallelism: u64, overlap: Overlap },
    /// A service of ECS.
    Service { desired: u64, maximum_percent: u64 },
}

/// What a CronJob does when its time has come and the last run is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// It starts another one, up to so many in all.
    Allow { runs: u64 },
    /// It waits.
    Forbid,
    /// It ends the last run and starts another one.
    Replace,
}

/// A number, or a part of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    Count(u64),
    Percent(u64),
}

impl Amount {
    /// As Kubernetes does for a surge.
    fn rounded_up(self, of: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => of.saturating_mul(percent).div_ceil(100),
        }
    }

    /// As ECS does for `maximumPercent`.
    fn rounded_down(self, of: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => of.saturating_mul(percent) / 100,
        }
    }
}

impl Controller {
    /// The instances in each scenario.
    pub(crate) fn instances(&self) -> Instances {
        match *self {
            // The controller starts the new pods when the last old one is gone.
            Self::Deployment { replicas, surge: None, .. } | Self::StatefulSet { replicas } => same(replicas),
            Self::Deployment { replicas, surge: Some(surge), waits_for_termination } => {
                let terminating = if waits_for_termination { 0 } else { replicas };
                overlapping(replicas, replicas.saturating_add(surge.rounded_up(replicas)), terminating)
            }
            Self::DaemonSet { nodes, surge } => {
                overlapping(nodes, nodes.saturating_add(surge.rounded_up(nodes)), nodes)
            }
            Self::Job { parallelism } | Self::CronJob { parallelism, overlap: Overlap::Forbid } => same(parallelism),
            Self::CronJob { parallelism, overlap } => {
                let runs = if let Overlap::Allow { runs } = overlap { runs } else { 1 };
                let steady = parallelism.saturating_mul(runs);
                overlapping(steady, steady, parallelism)
            }
            Self::Service { desired, maximum_percent } => {
                let allowed = Amount::Percent(maximum_percent).rounded_down(desired);
                overlapping(desired, allowed.max(desired), desired)
            }
        }
    }
}

fn same(count: u64) -> Instances {
    Instances { steady: count, rollout: count, worst: count }
}

/// `counted` is the most that the controller admits, `terminating` the most that it no longer counts.
fn overlapping(steady: u64, counted: u64, terminating: u64) -> Instances {
    let worst = counted.saturating_add(terminating);
    Instances { steady, rollout: worst.min(steady.saturating_mul(2)), worst }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(controller: &Controller) -> [u64; 3] {
        let Instances { steady, rollout, worst } = controller.instances();
        [steady, rollout, worst]
    }

    fn deployment(replicas: u64, surge: Option<Amount>, waits_for_termination: bool) -> [u64; 3] {
        numbers(&Controller::Deployment { replicas, surge, waits_for_termination })
    }

    #[test]
    fn a_rollout_holds_old_and_new_pods_whatever_the_surge_is() {
        let quarter = Some(Amount::Percent(25));
        assert_eq!(deployment(4, quarter, false), [4, 8, 9]);
        assert_eq!(deployment(1, quarter, false), [1, 2, 3]);
        assert_eq!(deployment(10, quarter, false), [10, 20, 23]);
        assert_eq!(deployment(0, quarter, false), [0, 0, 0]);
        assert_eq!(deployment(4, Some(Amount::Count(0)), false), [4, 8, 8]);
    }

    #[test]
    fn pods_that_are_waited_for_do_not_overlap() {
        assert_eq!(deployment(10, Some(Amount::Percent(25)), true), [10, 13, 13]);
        assert_eq!(deployment(10, None, false), [10, 10, 10]);
        assert_eq!(numbers(&Controller::StatefulSet { replicas: 3 }), [3, 3, 3]);
    }

    #[test]
    fn a_service_of_ecs_rounds_down_and_its_stopping_tasks_still_count() {
        let service = |desired, maximum_percent| numbers(&Controller::Service { desired, maximum_percent });
        assert_eq!(service(3, 200), [3, 6, 9]);
        assert_eq!(service(3, 150), [3, 6, 7]);
        assert_eq!(service(3, 100), [3, 6, 6]);
        assert_eq!(service(1, 150), [1, 2, 2]);
    }

    #[test]
    fn runs_of_a_cron_job_overlap_unless_it_is_forbidden() {
        let cron = |overlap| numbers(&Controller::CronJob { parallelism: 2, overlap });
        assert_eq!(cron(Overlap::Forbid), [2, 2, 2]);
        assert_eq!(cron(Overlap::Replace), [2, 4, 4]);
        assert_eq!(cron(Overlap::Allow { runs: 1 }), [2, 4, 4]);
        assert_eq!(cron(Overlap::Allow { runs: 5 }), [10, 12, 12]);
    }

    proptest! {
        #[test]
        fn a_harsher_scenario_holds_no_less(
            replicas in any::<u64>(), surge in any::<u64>(), percent in any::<bool>(), waits in any::<bool>(),
        ) {
            let surge = Some(if percent { Amount::Percent(surge) } else { Amount::Count(surge) });
            prop_assert!(deployment(replicas, surge, waits).is_sorted());
            let service = Controller::Service { desired: replicas, maximum_percent: 150 };
            prop_assert!(numbers(&service).is_sorted());
        }
    }
}
