#![doc = include_str!("job_failed.md")]

use std::collections::BTreeMap;

use crate::case::{
    Condition, ContainerStatus, Diagnosis, Evidence, FailureId, Finding, Ground, ObjectRef, Pod, Quote, Snapshot,
    Workload,
};
use crate::detect::{Claims, Look};
use crate::diagnose::assemble::newest_pods;
use crate::diagnose::confidence::{AGREES, LOG_NAMES_IT, STATUS_NAMES_IT, ground};
use crate::diagnose::template::Template;
use crate::diagnose::{MADE_ANEW, environment, logs, next, person, rollout, went_back};
use crate::failures::Failure;
use crate::failures::crash_loop::{BLAMED, exit};
use crate::review::policy::Policy;
use crate::yaml::FieldPath;

/// A Job gave up, or the newest run of a CronJob did.
pub struct JobFailed;

const ID: FailureId = FailureId("job-failed");

impl Failure for JobFailed {
    fn id(&self) -> FailureId {
        ID
    }

    fn page(&self) -> &'static str {
        include_str!("job_failed.md")
    }

    fn detect(&self, look: &Look<'_>, claims: &Claims) -> Vec<Finding> {
        let runs = newest_runs(look);
        let failed = runs.into_iter().filter(|(workload, _)| !claims.workload(workload));
        failed.filter_map(|(workload, job)| finding(look, workload, job)).collect()
    }

    fn diagnose(&self, evidence: &Evidence, _: &Policy) -> Option<Diagnosis> {
        let run = Run::of(evidence)?;
        if run.reason == "DeadlineExceeded" {
            return Some(run.past_deadline());
        }
        run.went_back().or_else(|| run.by_environment()).or_else(|| run.person())
    }
}

/// The newest run that ended, of everything that starts Jobs: a CronJob keeps its failed ones under new names.
fn newest_runs(snapshot: &Snapshot) -> BTreeMap<ObjectRef, &Workload> {
    let mut newest: BTreeMap<ObjectRef, &Workload> = BTreeMap::new();
    for job in snapshot.workloads.iter().filter(|w| w.kind == "Job" && has_ended(w)) {
        let workload = snapshot.root_owner(&job.id());
        let entry = newest.entry(workload).or_insert(job);
        if job.metadata.creation_timestamp > entry.metadata.creation_timestamp {
            *entry = job;
        }
    }
    newest
}

fn is_true(job: &Workload, condition: &str) -> bool {
    job.condition(condition).is_some_and(|c| c.status == "True")
}

fn has_ended(job: &Workload) -> bool {
    is_true(job, "Failed") || is_true(job, "Complete")
}

fn finding(snapshot: &Snapshot, workload: ObjectRef, job: &Workload) -> Option<Finding> {
    let condition = job.condition("Failed").filter(|c| c.status == "True")?;
    let owner = snapshot.workload(&workload);
    let paused = owner.is_some_and(|w| w.spec.suspend == Some(true));
    // Runs that succeeded may be kept no longer, but the CronJob remembers the last.
    let succeeded_since = owner.is_some_and(|w| w.status.last_successful_time > job.metadata.creation_timestamp);
    if paused || succeeded_since {
        return None;
    }
    let pods: Vec<&Pod> = failed_pods(snapshot, job);
    let failing = pods.first().and_then(|pod| failed_container(pod));
    let code = failing.and_then(|c| c.state.terminated.as_ref()).map(|end| end.exit_code);
    let symptom = symptom(&workload, job, condition, code);
    Some(Finding {
        failure: ID,
        workload,
        container: failing.map(|c| c.name.to_string()),
        symptom,
        since: condition.last_transition_time,
        pods: newest_pods(pods),
        shared: None,
    })
}

/// "failed in its newest run: 3 tries, exit code 1"
fn symptom(workload: &ObjectRef, job: &Workload, condition: &Condition, exit_code: Option<i64>) -> String {
    let run = if workload.kind == "CronJob" { " in its newest run" } else { "" };
    let reason = condition.reason.as_deref().unwrap_or("");
    let mut how = Vec::new();
    match reason {
        "DeadlineExceeded" => {
            let deadline = job.spec.active_deadline_seconds.map(|s| format!(" of {s} s")).unwrap_or_default();
            return format!("ran past its deadline{deadline}{run}");
        }
        "BackoffLimitExceeded" => how.extend(job.status.failed.filter(|n| *n > 1).map(|n| format!("{n} tries"))),
        _ => how.push(condition.message.as_deref().unwrap_or(reason).trim().to_owned()),
    }
    how.extend(exit_code.map(exit));
    how.retain(|words| !words.is_empty());
    if how.is_empty() { format!("failed{run}") } else { format!("failed{run}: {}", how.join(", ")) }
}

/// The pods of a run that are left of it, newest first. Those of a run past its deadline are deleted.
fn failed_pods<'s>(snapshot: &'s Snapshot, job: &Workload) -> Vec<&'s Pod> {
    let id = job.id();
    let of_job = snapshot.pods_controlled_by(&id);
    let mut pods: Vec<&Pod> = of_job.filter(|pod| pod.status.phase.as_deref() != Some("Succeeded")).collect();
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp));
    pods
}

/// The container that ended badly.
fn failed_container(pod: &Pod) -> Option<&ContainerStatus> {
    let mut all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    all.find(|c| c.state.terminated.as_ref().is_some_and(|end| end.exit_code != 0))
}

/// A run that failed, with what the rules need of it.
struct Run<'e> {
    evidence: &'e Evidence,
    finding: &'e Finding,
    job: &'e Workload,
    reason: String,
    /// What the API says of it.
    message: String,
    /// The first error of the last lines of its log.
    complaint: Option<String>,
}

impl<'e> Run<'e> {
    fn of(evidence: &'e Evidence) -> Option<Self> {
        let finding = evidence.incident.first();
        let job = *newest_runs(&evidence.snapshot).get(&finding.workload)?;
        let condition = job.condition("Failed")?;
        let container = finding.container.as_deref().unwrap_or("");
        let told = logs::of(evidence, container).into_iter().find_map(|log| logs::complaint(&log.lines));
        Some(Self {
            evidence,
            finding,
            job,
            reason: condition.reason.as_deref().unwrap_or_default().to_owned(),
            message: condition.message.clone().unwrap_or_default().trim().to_owned(),
            complaint: told.map(ToOwned::to_owned),
        })
    }

    fn because(&self) -> Vec<Option<Quote>> {
        let complaint = self.complaint.as_deref().and_then(|line| self.evidence.quote_log(line));
        vec![complaint.or_else(|| self.evidence.quote(&self.message))]
    }

    fn grounds(&self) -> Vec<Ground> {
        // That it gave up says nothing of why; that its time was over does.
        vec![match self.reason.as_str() {
            "DeadlineExceeded" => ground(STATUS_NAMES_IT, "the status says that its time was over"),
            _ => ground(AGREES, "the status says that it gave up"),
        }]
    }

    /// What to do besides, whatever the cause: a Job's pods do not change with its manifest.
    fn with_notes(&self, mut diagnosis: Diagnosis) -> Diagnosis {
        if self.finding.workload.kind == "Job" {
            diagnosis.notes.push(MADE_ANEW.to_owned());
        } else if !diagnosis.changes().is_empty() {
            diagnosis
                .notes
                .push(format!("run {} is not tried again; the next run has the change", self.job.metadata.name));
        }
        diagnosis
    }

    /// Back to what the last run that succeeded was made of.
    fn went_back(&self) -> Option<Diagnosis> {
        let template = Template::of(&self.evidence.snapshot, &self.finding.workload)?;
        let container = template.container(self.finding.container.as_deref()?)?;
        let volumes = FieldPath::keys(&["spec", "volumes"]);
        let blamed = |path: &FieldPath| path.starts_with(&volumes) || template.is_in(path, &container, &BLAMED);
        let says = self.complaint.as_deref().map(|line| format!(", and the log says: {}", logs::message(line)));
        let says = says.unwrap_or_default();
        let cause = |was: &str| format!("runs fail since the manifest changed{says}; {was}");
        let back = went_back(self.evidence, &self.finding.workload, blamed, cause, self.because(), self.grounds())
            .filter(|d| !d.changes().is_empty());
        let back = back.map(|back| rollout::unless_another_is_away(back, self.complaint.as_deref()));
        back.map(|diagnosis| self.with_notes(diagnosis))
    }

    /// A variable or host that the log misses and that was evidently meant.
    fn by_environment(&self) -> Option<Diagnosis> {
        let template = Template::of(&self.evidence.snapshot, &self.finding.workload)?;
        let container = template.container(self.finding.container.as_deref()?)?;
        let diagnosis = environment::diagnose(self.evidence, &template, &container, &self.grounds())?;
        Some(self.with_notes(diagnosis))
    }

    fn says(&self) -> String {
        self.complaint.as_deref().map_or_else(|| self.message.clone(), logs::message)
    }

    /// What the program says is the likely cause, and it is no field of a manifest. `None` when it says nothing.
    fn person(&self) -> Option<Diagnosis> {
        if self.complaint.is_none() && self.reason != "PodFailurePolicy" {
            return None;
        }
        let container = self.finding.container.as_deref().unwrap_or("the program");
        let cause = format!("`{container}` ends with an error of its own: {}", self.says());
        let why = match self.reason.as_str() {
            "PodFailurePolicy" => "the Job's own podFailurePolicy ended it",
            _ => "what the program complains of does not lead to a field of its manifest",
        };
        let mut grounds = self.grounds();
        grounds.extend(self.complaint.as_ref().map(|_| ground(LOG_NAMES_IT, "its log ends with an error")));
        let next = next::log_of(self.finding, "").into_iter().chain([self.again()]).collect();
        Some(self.with_notes(person(cause, self.because(), grounds, why.to_owned(), next)))
    }

    /// The command that runs it once more, for a look while its pods are there.
    fn again(&self) -> String {
        let (workload, space) = (&self.finding.workload, next::flag(self.finding.workload.namespace.as_deref()));
        match workload.kind.as_str() {
            "CronJob" => {
                format!("kubectl create job {0}-again --from=cronjob/{0}{space}   # runs it once more", workload.name)
            }
            _ => next::describe(workload),
        }
    }

    fn past_deadline(&self) -> Diagnosis {
        let deadline = self.job.spec.active_deadline_seconds;
        let deadline = deadline.map_or_else(String::new, |s| format!(": {s}"));
        let cause = format!("`activeDeadlineSeconds{deadline}` was over before the work was done");
        let why = "whether the deadline is too short or the work hangs is not in the evidence".to_owned();
        let mut next: Vec<String> = next::log_of(self.finding, "").into_iter().chain([self.again()]).collect();
        if self.finding.pods.is_empty() && self.finding.workload.kind == "CronJob" {
            next.push("read its log while it runs: what does it wait for?".to_owned());
        }
        let mut diagnosis = person(cause, self.because(), self.grounds(), why, next);
        if self.finding.pods.is_empty() {
            diagnosis.unchecked.push("its log: pods of a Job past its deadline are deleted".to_owned());
        }
        self.with_notes(diagnosis)
    }
}

#[cfg(test)]
mod tests {
    use crate::failures::trial::Trial;

    const SPEC: &str = "{restartPolicy: Never, containers: [{name: app, image: 'shop/report:v1'}]}";

    fn cron_job(spec: &str, status: &str) -> String {
        format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: report, namespace: shop}}\nspec: {{schedule: '* * * * *', \
             jobTemplate: {{spec: {{template: {{spec: {spec}}}}}}}}}\nstatus: {status}"
        )
    }

    /// A Job of that CronJob, made at 00:0M.
    fn run(minute: u8, spec: &str, condition: &str) -> String {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: report-{minute}\n  namespace: shop\n  creationTimestamp: \
             2026-01-01T00:0{minute}:00Z\n  ownerReferences: [{{apiVersion: batch/v1, kind: CronJob, name: report, controller: true}}]\n\
             spec: {{backoffLimit: 0, activeDeadlineSeconds: 10, template: {{spec: {spec}}}}}\nstatus: {{failed: 1, conditions: [{{{condition}}}]}}"
        )
    }

    fn pod(minute: u8, end: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: report-{minute}-a\n  namespace: shop\n  creationTimestamp: \
             2026-01-01T00:0{minute}:01Z\n  ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: report-{minute}, controller: true}}]\n\
             spec: {SPEC}\nstatus: {{phase: Failed, containerStatuses: [{{name: app, ready: false, restartCount: 0, state: {{terminated: \
             {{finishedAt: 2026-01-01T00:0{minute}:05Z, {end}}}}}}}]}}"
        )
    }

    const FAILED: &str = "type: Failed, status: 'True', reason: BackoffLimitExceeded, message: Job has reached the specified backoff limit";
    const DEADLINE: &str = "type: Failed, status: 'True', reason: DeadlineExceeded, message: Job was active longer than specified deadline";
    const COMPLETE: &str = "type: Complete, status: 'True'";
    const ERROR: &str = "exitCode: 1, reason: Error";

    #[test]
    fn the_workload_is_the_cron_job_and_the_error_is_quoted() {
        let trial = Trial::of(&[cron_job(SPEC, "{}"), run(3, SPEC, FAILED), run(4, SPEC, FAILED), pod(4, ERROR)]).log(
            "report-4-a",
            "app",
            "level=error msg=\"no table\"\nlevel=fatal msg=\"report failed\"\n",
        );
        assert_eq!(trial.findings(), ["job-failed CronJob shop/report [app]"]);
        let diagnosis = trial.diagnose("job-failed").unwrap();
        assert!(diagnosis.changes().is_empty());
        assert!(diagnosis.cause.ends_with("no table"), "{}", diagnosis.cause);
        assert_eq!(diagnosis.because[0].text, "level=error msg=\"no table\"");
    }

    #[test]
    fn the_newest_run_decides() {
        let objects = [cron_job(SPEC, "{}"), run(3, SPEC, FAILED), run(4, SPEC, COMPLETE)];
        assert!(Trial::of(&objects).findings().is_empty());
        let forgotten = cron_job(SPEC, "{lastSuccessfulTime: 2026-01-01T00:04:10Z}");
        assert!(Trial::of(&[forgotten, run(3, SPEC, FAILED)]).findings().is_empty());
    }

    #[test]
    fn what_the_run_that_succeeded_had_comes_back() {
        let old = SPEC.replace("report:v1", "report:v0");
        let objects = [cron_job(SPEC, "{}"), run(3, &old, COMPLETE), run(4, SPEC, FAILED), pod(4, ERROR)];
        assert_eq!(
            Trial::of(&objects).cure("job-failed"),
            [
                "spec.jobTemplate.spec.template.spec.containers[name=app].image: \"shop/report:v1\" -> \"shop/report:v0\""
            ]
        );
    }

    #[test]
    fn a_deadline_is_told_apart_and_leaves_no_log() {
        let trial = Trial::of(&[cron_job(SPEC, "{}"), run(4, SPEC, DEADLINE)]);
        assert_eq!(trial.findings(), ["job-failed CronJob shop/report [-]"]);
        let diagnosis = trial.diagnose("job-failed").unwrap();
        assert!(diagnosis.cause.contains("activeDeadlineSeconds: 10"), "{}", diagnosis.cause);
        assert!(diagnosis.unchecked[0].contains("deleted"));
    }

    #[test]
    fn without_a_log_the_cause_is_not_known() {
        let trial = Trial::of(&[cron_job(SPEC, "{}"), run(4, SPEC, FAILED), pod(4, ERROR)]);
        assert!(trial.diagnose("job-failed").is_none());
    }

    #[test]
    fn a_container_that_ran_out_of_memory_says_more() {
        let killed = pod(4, "exitCode: 137, reason: OOMKilled");
        let trial = Trial::of(&[cron_job(SPEC, "{}"), run(4, SPEC, FAILED), killed]);
        assert_eq!(trial.findings(), ["oom-killed CronJob shop/report [app]"]);
    }
}
