"""A small run through sbatch: the same as on this machine, bit for bit, also when it was killed."""

import signal

import pytest

from segspn.runs import steps
from tests.support import workflows

workflows.PATIENCE = 900  # s: a job waits for several looks at the queue


class ClusterProject(workflows.Project):
    """A project whose runs go to the private Slurm."""

    def __init__(self, root, cluster):
        super().__init__(root)
        self._environment = {**cluster.environment, **{
            name: self._environment[name] for name in ("PYTHONPATH", "TMPDIR")}}
        self.cluster = cluster

    def start(self, *options, **keywords):
        return super().start("--cluster", "slurm", "--cluster-options",
                             f"slurm_partition={self.cluster.partition}", "--look-every", 1,
                             "--jobs", 20, *options, **keywords)

    def queue(self, states="PENDING,RUNNING,COMPLETING"):
        """Jobs of Slurm in these states; those that have not ended."""
        return self.cluster.run("squeue", "--noheader", "--format", "%A %j", "--states", states,
                                check=True).stdout.splitlines()


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    """A run on this machine."""
    project = workflows.Project(tmp_path_factory.mktemp("local") / "project")
    project.succeed()
    return project


@pytest.fixture
def project(tmp_path, slurm):
    project = ClusterProject(tmp_path / "project", slurm)
    yield project
    slurm.run("scancel", "--me")
    workflows.wait_until(lambda: not project.queue(), "an empty queue")


def test_same_products_as_on_this_machine(project, local):
    before = len(project.queue("COMPLETED"))
    project.succeed()
    assert project.products() == local.products() and project.products()
    quick = {name for name, step in steps.STEPS.items() if step.is_quick}
    on_cluster = [job for job in project.done() if job.split("/")[0] not in quick]
    assert len(project.queue("COMPLETED")) - before == len(on_cluster) == 16


def test_killed_runs_go_on_to_the_same_products(project, local):
    process = project.start()
    workflows.wait_until(lambda: project.states_of_solvers(), "a snapshot of a training")
    process.kill()
    workflows.ended(process)
    assert project.queue()  # the cluster goes on by itself
    output = project.succeed()
    assert "jobs of an earlier run" in output
    assert project.products() == local.products()
    assert "going on from iteration" in project.logs("train_*")


def test_ctrl_c_empties_the_queue(project):
    process = project.start()
    workflows.wait_until(lambda: project.states(), "a job that runs")
    process.send_signal(signal.SIGINT)
    status, _, errors = workflows.ended(process)
    assert status == 130 and "the same command" in errors
    workflows.wait_until(lambda: not project.queue(), "an empty queue")
