"""A Slurm of one node, from Debian's packages, in a folder and on ports of its own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "sinfo")
SBIN = "/usr/sbin"  # of daemons, and not on everybody's path
NODE = "n0"
DEVICES = ("/dev/null", "/dev/zero")  # stand in for GPUs
START_S, POLL_S = 20, 0.2
# Two processors, whatever the machine has, and two GPUs in name alone. Without cgroups, which a
# container may lack: memory is counted, but no job is killed for it.
CONF = """
ClusterName=tsgbench
SlurmctldHost={host}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
ReturnToService=1
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
MinJobAge=600
KillWait=5
GresTypes=gpu
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=256000 Gres=gpu:2
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurm(Exception):
    """It is not installed, or does not start here."""


class Cluster:
    """A running Slurm. programs: a folder in which to look for programs first."""

    def __init__(self, folder: Path):
        self.folder, self.conf, self.programs = folder, folder / "slurm.conf", folder / "bin"

    def reach(self, env: dict[str, str]) -> dict[str, str]:
        """The environment of a program that is to talk to it."""
        path = f"{self.programs}{os.pathsep}{env['PATH']}"
        return {**env, "SLURM_CONF": str(self.conf), "PATH": path}

    def ask(self, *words: str) -> str:
        """What one of Slurm's commands answers."""
        done = subprocess.run(
            words, env=self.reach(dict(os.environ)), capture_output=True, text=True, timeout=30
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def jobs(self, *states: str) -> dict[str, str]:
        """Id -> state of its jobs, ended ones too; only those in `states`, if any are named."""
        lines = self.ask("squeue", "--noheader", "--states=all", "--format=%i %T").splitlines()
        found = dict(line.split() for line in lines)
        return {key: state for key, state in found.items() if not states or state in states}

    def describe(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says of a job."""
        words = self.ask("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.partition("=")[::2] for word in words if "=" in word)

    def end_jobs(self) -> None:
        """Cancel all, and wait until nothing of them runs."""
        self.ask("scancel", "--partition=main")
        wait_for(lambda: not self.jobs("PENDING", "RUNNING", "COMPLETING"), "jobs end")

    def set_node(self, state: str) -> None:
        """Put the node into a state: drain, down, resume."""
        self.ask("scontrol", "update", f"nodename={NODE}", f"state={state}", "reason=test")


def wait_for(true: Callable[[], object], what: str, patience_s: float = 600.0) -> object:
    """What `true` answers, once that is not nothing."""
    until = time.monotonic() + patience_s
    while not (answer := true()):
        assert time.monotonic() < until, f"{what}: not within {patience_s:.0f} s"
        time.sleep(POLL_S)
    return answer


@contextmanager
def run_slurm(folder: Path) -> Iterator[Cluster]:
    """Start it, and stop it with all its jobs. folder: an empty one, with a short path.

    Raises `NoSlurm` with the reason where it cannot be had.
    """
    path = os.pathsep.join([os.environ["PATH"], SBIN])
    if missing := [name for name in NEEDED if not shutil.which(name, path=path)]:
        raise NoSlurm(f"{', '.join(missing)} not installed (apt install slurm-wlm munge)")
    configure(folder)
    cluster = Cluster(folder)
    wrap_srun(cluster)
    daemons: list[subprocess.Popen] = []
    environment = cluster.reach({**os.environ, "PATH": path})
    try:
        for name, *options in (
            ("munged", "--foreground", "--force", *munge_options(folder)),
            ("slurmctld", "-D", "-c"),
            ("slurmd", "-D", "-N", NODE),
        ):
            with open(folder / f"{name}.out", "w") as out:
                daemons.append(
                    subprocess.Popen([name, *options], env=environment, stdout=out, stderr=out)
                )
            if name == "munged":
                await_file(folder / "munge.socket", daemons[-1])
        await_idle(cluster, daemons)
        try:
            yield cluster
        finally:
            cluster.end_jobs()  # which would outlive it
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def configure(folder: Path) -> None:
    """Write keys and configuration."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    conf = CONF.format(
        folder=folder,
        host=socket.gethostname().partition(".")[0],
        user=user,
        controller_port=ports[0],
        node_port=ports[1],
        node=NODE,
    )
    (folder / "slurm.conf").write_text(conf)
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={file}\n" for file in DEVICES))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")


def wrap_srun(cluster: Cluster) -> None:
    """Write an srun that knows where the configuration is: Snakemake's plugin takes all SLURM
    variables from the jobs' environment but those that name the job."""
    cluster.programs.mkdir()
    program = cluster.programs / "srun"
    program.write_text(f'#!/bin/sh\nSLURM_CONF={cluster.conf} exec {shutil.which("srun")} "$@"\n')
    program.chmod(0o755)


def munge_options(folder: Path) -> list[str]:
    """Options of munged, all of whose files are in the folder."""
    names = {
        "key-file": "munge.key",
        "socket": "munge.socket",
        "pid-file": "munged.pid",
        "log-file": "munged.log",
        "seed-file": "munged.seed",
    }
    return [f"--{option}={folder / name}" for option, name in names.items()]


def await_file(path: Path, daemon: subprocess.Popen) -> None:
    until = time.monotonic() + START_S
    while not path.exists():
        if daemon.poll() is not None or time.monotonic() > until:
            raise NoSlurm(f"munged does not start: {said(path.parent, 'munged')}")
        time.sleep(POLL_S)


def await_idle(cluster: Cluster, daemons: list[subprocess.Popen]) -> None:
    until = time.monotonic() + START_S
    while True:
        dead = [daemon.args[0] for daemon in daemons if daemon.poll() is not None]
        try:
            state = cluster.ask("sinfo", "--noheader", "--format=%T").strip()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            state = str(error)
        if state == "idle":
            return
        if dead or time.monotonic() > until:
            logs = "; ".join(said(cluster.folder, name) for name in ("slurmctld", "slurmd"))
            raise NoSlurm(f"Slurm does not start ({', '.join(dead) or state}): {logs}")
        time.sleep(POLL_S)


def said(folder: Path, daemon: str) -> str:
    """The last thing that a daemon said."""
    logs = [folder / f"{daemon}.log", folder / f"{daemon}.out"]
    lines = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
    return lines[-1] if lines else f"{daemon} said nothing"
