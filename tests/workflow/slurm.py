"""A Slurm from Debian's packages, in a folder and on ports of its own.

It has one node, and another in reserve, both on this machine.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "sinfo")
SBIN = "/usr/sbin"  # of daemons, and not on everybody's path
NODE, SPARE = "n0", "n1"
DEVICES = ("/dev/null", "/dev/zero")  # stand in for GPUs
START_S, POLL_S = 20, 0.2
# A node has two processors, whatever the machine has, and two GPUs in name alone. No cgroups, which
# a container may lack: each second a step's memory is counted, and it is killed for too much. What
# takes a cluster minutes takes seconds here: to give up a silent node, to start its jobs again.
CONF = """
ClusterName=tsgbench
SlurmctldHost={host}
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
ReturnToService=2
SlurmdTimeout=6
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=UsePss,OverMemoryKill
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
MinJobAge=600
KillWait=5
GresTypes=gpu
NodeName=DEFAULT CPUs=2 RealMemory=256000 Gres=gpu:2
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports[0]}
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports[1]}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurm(Exception):
    """It is not installed, or does not start here."""


class Cluster:
    """A running Slurm. programs: a folder in which to look for programs first."""

    def __init__(self, folder: Path):
        self.folder, self.conf, self.programs = folder, folder / "slurm.conf", folder / "bin"
        self.daemons: dict[str, subprocess.Popen] = {}

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

    def node_state(self, node: str) -> str:
        """As `sinfo` calls it; a star says that the node does not answer."""
        return self.ask("sinfo", "--noheader", f"--nodes={node}", "--format=%T").strip()

    def start(self, name: str, *command: str) -> subprocess.Popen:
        """Start a daemon; what it says is in NAME.out."""
        path = os.pathsep.join([os.environ["PATH"], SBIN])
        with open(self.folder / f"{name}.out", "w") as out:
            self.daemons[name] = subprocess.Popen(
                command,
                env=self.reach({**os.environ, "PATH": path}),
                stdout=out,
                stderr=out,
            )
        return self.daemons[name]

    def start_node(self, node: str) -> None:
        """Start a node, or start it again, and wait until it takes jobs."""
        daemon = self.start(node, "slurmd", "-D", "-N", node)
        until = time.monotonic() + START_S
        while True:
            try:
                state = self.node_state(node)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                state = str(error)
            if state in ("idle", "mixed"):
                return
            if daemon.poll() is not None or time.monotonic() > until:
                logs = "; ".join(said(self.folder, name) for name in ("slurmctld", node))
                raise NoSlurm(f"Slurm does not start ({node}: {state}): {logs}")
            time.sleep(POLL_S)

    def stop_node(self, node: str) -> None:
        """Shut a node down that runs nothing."""
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        self.daemons[node].terminate()
        self.daemons.pop(node).wait()

    def lose_node(self, node: str) -> None:
        """Kill all that runs on it: its daemon, the steps of its jobs and their programs."""
        self.daemons[node].kill()
        self.daemons.pop(node).wait()
        spool = str(self.folder / "spool" / node)  # a step has its socket there
        steps = [
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"].startswith("slurmstepd")
            and any(at.laddr.startswith(spool) for at in process.net_connections("unix"))
        ]
        doomed = steps + [child for step in steps for child in step.children(recursive=True)]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> None:
        """Stop the daemons, the last one first."""
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


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
    try:
        daemon = cluster.start(
            "munged", "munged", "--foreground", "--force", *munge_options(folder)
        )
        await_file(folder / "munge.socket", daemon)
        cluster.start("slurmctld", "slurmctld", "-D", "-c")
        cluster.start_node(NODE)
        try:
            yield cluster
        finally:
            cluster.end_jobs()  # which would outlive it
    finally:
        cluster.stop()


def configure(folder: Path) -> None:
    """Write keys and configuration."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    for node in (NODE, SPARE):
        (folder / "spool" / node).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    with ExitStack() as held:  # together, so that no two are the same
        servers = [held.enter_context(socket.create_server(("", 0))) for _ in range(3)]
        ports = [server.getsockname()[1] for server in servers]
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    conf = CONF.format(
        folder=folder,
        host=socket.gethostname().partition(".")[0],
        user=user,
        controller_port=ports[0],
        nodes=(NODE, SPARE),
        node_ports=ports[1:],
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


def said(folder: Path, daemon: str) -> str:
    """The last thing that a daemon said."""
    logs = [folder / f"{daemon}.log", folder / f"{daemon}.out"]
    lines = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
    return lines[-1] if lines else f"{daemon} said nothing"
