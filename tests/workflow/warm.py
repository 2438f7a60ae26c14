"""Commands that start with their libraries imported, for tests that run a study of many small jobs.

PyTorch alone takes a second to import, longer than most jobs of a miniature have to do. A server
imports third-party libraries once, and forks a process for each command, which imports the
project's own code from its PYTHONPATH, as the command itself would. Such a process is no child of
whoever asked, so tests of killed jobs, of what jobs cost and of how commands are installed start
the real ones.
"""

import atexit
import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# What jobs import most of the time; snakemake, for its own command
LIBRARIES = (
    "torch",
    "numpy",
    "yaml",
    "h5py",
    "av",
    "pyarrow.parquet",
    "sklearn.decomposition",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "mlflow.tracking",
    "mlflow.entities",
    "mlflow.store.tracking.sqlalchemy_store",
    "alembic.command",
    "snakemake.cli",
    "dvc.cli",
)
# Command -> the function that its console script calls
COMMANDS = {"tsgbench": "tsgbench.cli.main", "snakemake": "snakemake.cli", "dvc": "dvc.cli"}
# Snakemake puts the folder of its Python first in PATH, for its jobs (`config.export_study`)
PYTHON = """#!/bin/sh
exec {python} "$@"
"""
# In place of the command: hands its words, folder, environment and files over, and waits
STAND_IN = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([[{command!r}, *sys.argv[1:]], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    process = int.from_bytes(server.recv(8), "big")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(process, number))
    sys.exit(int.from_bytes(server.recv(8) or bytes([1]), "big"))
"""


@contextlib.contextmanager
def warm_commands(folder: Path) -> Iterator[Path]:
    """A folder for the front of PATH, whose commands are served while the block lasts."""
    address = str(folder / "socket")
    (folder / "bin").mkdir()
    for command, text in {**dict.fromkeys(COMMANDS, STAND_IN), "python": PYTHON}.items():
        path = folder / "bin" / command
        path.write_text(text.format(python=sys.executable, address=address, command=command))
        path.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen([sys.executable, "-P", __file__, address], env=env)
    try:
        while not Path(address).exists():
            assert server.poll() is None, "the server of warm commands did not start"
            time.sleep(0.05)
        yield folder / "bin"
    finally:
        server.terminate()
        server.wait()


def serve(address: str) -> None:
    """Fork a process for every command that is asked for, until this one is ended."""
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address + ".new")
        listening.listen(64)
        os.rename(address + ".new", address)
        while True:
            asking, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(asking, Path(address).with_name("bin"))
            asking.close()


def _answer(asking: socket.socket, stand_ins: Path) -> None:
    """Run one command in this process, and end it."""
    status = 1
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        length, files, _, _ = socket.recv_fds(asking, 8, 3)
        with asking.makefile("rb") as stream:
            words, folder, env = json.loads(stream.read(int.from_bytes(length, "big")))
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        asking.sendall(os.getpid().to_bytes(8, "big"))
        status = _run(words, folder, env, stand_ins)
    finally:
        with contextlib.suppress(OSError):  # who asked is gone
            asking.sendall(status.to_bytes(8, "big"))
        os._exit(status)


def _run(words: list[str], folder: str, env: dict[str, str], stand_ins: Path) -> int:
    """The command's exit status."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 (until the process ends)
    sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
    own = [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:0] = [str(Path(sys.executable).parent), *own]
    sys.argv = [str(Path(sys.executable).parent / words[0]), *words[1:]]
    sys.executable = str(stand_ins / "python")
    try:
        status = importlib.import_module(COMMANDS[words[0]]).main()
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    # What an interpreter does at its end, but for taking modules apart
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status or 0


if __name__ == "__main__":
    serve(sys.argv[1])
