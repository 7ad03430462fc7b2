"""Runs Snakemake over the jobs of a run, and tells what they do."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from segspn import files, locks, signals
from segspn.errors import UserError, count
from segspn.runs import plan, settings, shared, slurm, steps

SNAKEFILE = Path(__file__).with_name("Snakefile")
MEMORY_SHARE = 0.85  # of the machine's memory, for jobs
POLL = 0.5  # s
# Of Snakemake's log: why a job could not be submitted; a wrong option; an exception, and what
# follows it.
REASON = re.compile(r"^    message: (?!None$)(.+)|^\S+: error: (.+)|"
                    r"^(\w+(?:Error|Exception)\b.*(?:\n(?!  File |\[\w+ \w+ +\d).+){,3})", re.M)
NO_REASON = "At least one job did not complete successfully"
# A job that it has seen fail, and of which it knows no more.
FAILED = re.compile(r"^Error in rule .*\n    message: None\n(?:    .*\n)*?    output: done/(\S+)",
                    re.M)


class Stopping(signals.EndSignals):
    """While it is entered, a signal that asks for an end goes to Snakemake and its jobs.

    repeats  whether insist() asks again those that were started meanwhile
    """

    def __init__(self, repeats):
        super().__init__()
        self._repeats = repeats

    def start(self, command, output, **changes):
        """Snakemake's process, which leads a group of its own.  changes: of the environment."""
        self._process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=self._prepare, env={**os.environ, **changes})
        self.forward(self._ask)
        return self._process

    @staticmethod
    def _prepare():
        signals.end_with_parent(signal.SIGKILL)()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background ignores it

    def _ask(self, number):
        if number == self.came[0]:
            # Snakemake waits for its jobs here, and cancels those on a cluster.
            self._signal(signal.SIGINT)

    def _signal(self, number):
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def insist(self):
        """Asks again: a job that was just being started has not heard it."""
        if self.came and self._repeats:
            self._signal(signal.SIGTERM)


def why_stopped(status, told):
    """What killed Snakemake, or the last reason in what it told, as one line."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    reasons = [next(filter(None, match.groups())) for match in REASON.finditer(told)]
    last = [text for text in reasons if NO_REASON not in text][-1:] or ["it does not tell why"]
    text = re.sub(r' in (rule \S+ in )?file "[^"\n]*", line \d+:', ":", last[0])
    text = re.sub(r"For further error details.*", "", text)
    return " ".join(text.split()).removeprefix("UserError: ")


class Workflow:
    """A run's jobs on this machine or a cluster.

    jobs             at a time
    cluster_options  "slurm_partition=…", …
    memory_mb        of this machine
    look_every       seconds between looks at the cluster's queue
    """

    def __init__(self, run, jobs, cluster_options, memory_mb, look_every):
        self.run, self.jobs, self._options = run, jobs, cluster_options
        self._memory_mb, self._look_every = memory_mb, look_every
        self.all_jobs = steps.jobs(run)

    def flag(self, job):
        """The file by which Snakemake knows that a job is done."""
        return self.run.folder / "done" / steps.job_path(*job)

    def log(self, job):
        return self.run.folder / "logs" / f"{steps.job_path(*job)}.log"

    @contextmanager
    def alone(self):
        """While it is entered, no other process runs this run, or has to do with its videos.

        Models and maps of a video are shared by all runs of it.  Raises UserError.
        """
        wanted = {self.run.folder / ".lock": self.run.folder, **{
            settings.RUNS / ".locks" / video: f"video {video}" for video in self.run.videos}}
        if self.run.generic:
            wanted[settings.RUNS / ".locks/.generic"] = "the generic training"
        with ExitStack() as stack:
            for path, what in wanted.items():
                stack.enter_context(locks.alone(
                    path, f"another run is at work on {what}; wait for its end, or stop it"))
            yield

    def late(self):
        """The jobs with something to do, by what is on disk, and all that come after them."""
        late = set()
        for job in self.all_jobs:
            if (not late.isdisjoint(steps.STEPS[job[0]].needs(self.run, *job[1]))
                    or not steps.is_done(self.run, *job)):
                late.add(job)
        return [job for job in self.all_jobs if job in late]

    def take_over(self):
        """Has what other runs have done count here, for Snakemake as well."""
        for job in shared.take_over(self.run):
            files.write_text(self.flag(job), "")

    def prepare(self, late):
        """Writes run.json, and has Snakemake see late jobs as such."""
        self.run.write()
        for job in late:
            self.flag(job).unlink(missing_ok=True)

    def _snakemake(self, *options):
        return [
            sys.executable, "-m", "snakemake", "--profile", "none",  # of the user's own workflows
            "--snakefile", str(SNAKEFILE), "--directory",
            str(self.run.folder), "--nolock", "--rerun-incomplete", "--keep-going",
            "--rerun-triggers", "mtime", "--scheduler", "greedy", "--nocolor", *options]

    def _where(self):
        """Snakemake's options for where jobs run, and how many."""
        if self.run.cluster:
            return slurm.options(self.run, self.jobs, self._options, self._look_every)
        return ["--cores", str(self.jobs * self.run.threads), "--resources",
                f"mem_mb={int(MEMORY_SHARE * self._memory_mb)}", f"gpu={len(self.run.gpus)}"]

    def plan(self):
        """The jobs to do, their expected hours and disk, as a table.  Raises UserError."""
        self.take_over()
        late = self.late()
        return plan.table(self.run, late, self.jobs, plan.time_here(self.run, late))

    def perform(self):
        """Runs what is to be done.  Raises UserError where jobs failed, KeyboardInterrupt."""
        self.take_over()
        begin, late = time.time(), self.late()
        self.prepare(late)
        print(f"{len(late)} of {len(self.all_jobs)} jobs to do, {self.jobs} at a time, "
              f"{count(self.run.threads, 'thread')} each; logs in {self.run.folder / 'logs'}",
              flush=True)
        if not late:
            return
        log = self.run.folder / "logs/snakemake.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        if self.run.cluster:
            slurm.cancel_left_over(self.run.folder)
        with log.open("a+b") as output, Stopping(repeats=not self.run.cluster) as stopping:
            written = output.tell()  # by earlier runs
            # HOME may be read-only, or nowhere; the user of a container may have no name.
            home, user = self.run.folder / ".snakemake/home", os.environ.get("USER", os.getuid())
            process = stopping.start(self._snakemake(*self._where()), output, USER=str(user),
                                     XDG_CACHE_HOME=str(home), XDG_CONFIG_HOME=str(home))
            self._follow(process, begin, late, stopping.insist)
            output.seek(written)
            told = output.read().decode(errors="replace")
        if stopping.came:
            raise KeyboardInterrupt
        self._judge(process.returncode, begin, told)

    def _follow(self, process, begin, late, insist):
        """A line a job that ends, on a terminal a bar of the late ones, until Snakemake ends."""
        told = set()
        with tqdm(total=len(late), unit="job", dynamic_ncols=True, disable=None,
                  desc=self.run.name) as bar:
            while True:
                ended = process.poll() is not None
                states = self.states(begin)
                for job, state in states.items():
                    if state["state"] != "running" and (job, state["begin"]) not in told:
                        told.add((job, state["begin"]))
                        bar.write(self._line(job, state))
                running = [steps.describe(*job) for job, state in states.items()
                           if state["state"] == "running"]
                bar.n = sum(self.flag(job).is_file() for job in late)
                bar.set_postfix_str(", ".join(running)[:60])
                if ended:
                    return
                time.sleep(POLL)
                insist()

    def states(self, begin):
        """{job: state} of the jobs that began at or after this time."""
        states = {job: settings.state(self.run, steps.job_path(*job)) for job in self.all_jobs}
        return {job: state for job, state in states.items() if state and state["begin"] >= begin}

    def _line(self, job, state):
        """What is told of a job that ended."""
        what = steps.describe(*job)
        if state["state"] == "done":
            return f"{what}: {plan.duration(state['seconds'])}, {state['peak_mb']:.0f} MB"
        how = "killed" if state["state"] == "running" else state["state"]
        return f"{what}: {how}: {self._reason(job, state)} (log: {self.log(job)})"

    def _reason(self, job, state):
        """The error that the last command line of a job wrote into its log, or the job's own."""
        with suppress(OSError):
            text = self.log(job).read_text(errors="replace").rpartition("\n== ")[2]
            errors = [line for line in text.splitlines() if line.startswith("error: ")]
            if errors:
                return errors[0].removeprefix("error: ")
        return state.get("error", "it ended without a word")

    def _judge(self, status, begin, told):
        """Raises UserError where not all is done, and says which jobs failed.

        status, told: of Snakemake, which says why where no job failed.
        """
        missing = [job for job in self.all_jobs if not self.flag(job).is_file()]
        if not status and not missing:
            return
        died = FAILED.findall(told)  # maybe before they wrote a state
        states = {job: {"state": "failed"} for job in missing if steps.job_path(*job) in died}
        states |= self.states(begin)
        failed = {job: state for job, state in states.items() if state["state"] != "done"}
        for job, state in failed.items():
            print(self._line(job, state), file=sys.stderr)
        why = ("mend what their logs tell" if failed else "Snakemake stopped: "
               f"{why_stopped(status, told)} (log: {self.run.folder / 'logs/snakemake.log'})")
        raise UserError(f"{count(len(failed), 'job')} failed, {len(missing)} of "
                        f"{len(self.all_jobs)} are not done; {why}; the same command goes on")

    def results(self):
        """What the run left for people to look at, a line each, and the next command."""
        folder = self.run.folder
        left = {"J and F": folder / "evaluation", "labels": folder / "labels"}
        if self.run.whole:
            left["submission"] = folder / "submission.zip"
        for sequence in self.run.videos if len(self.run.videos) == 1 else ():
            left |= {"video": folder / "overlay" / sequence / "overlay.mp4",
                     "report": folder / "report" / sequence / "report.html"}
        lines = [f"{what}: {path}" for what, path in left.items() if path.exists()]
        if self.run.until:
            return [*lines, "next: the same command without --until does the rest"]
        if self.run.videos:
            return [*lines, f"next: open {folder / 'overview.html'} in a browser"]
        model = os.path.relpath(steps.generic_model(self.run), files.ROOT)
        return [f"next: make davis BACKBONE={self.run.backbone} WEIGHTS={model} SPLIT=<list of "
                "videos that the generic training has not seen>"]
