"""The command line without its start: a process that has imported it forks for each command, with that one's own files.

A page of forty commands spends most of its time on starting Python forty times. ``onedoor`` on the path is then a client of a
few lines that hands its arguments and its three files over and leaves with the command's exit code.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_CLIENT = """#!{python} -IS
import socket, sys
c = socket.socket(socket.AF_UNIX)
c.connect({path!r})
socket.send_fds(c, ["\\0".join(sys.argv[1:]).encode() or b"\\0"], [0, 1, 2])
sys.exit(c.recv(1)[0])
"""


@contextmanager
def warm_onedoor(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder with a quick ``onedoor``; its commands run in ``folder`` with the environment given here."""
    path = folder / "socket"
    (folder / "bin").mkdir()
    client = folder / "bin" / "onedoor"
    client.write_text(_CLIENT.format(python=sys.executable, path=str(path)), "utf-8")
    client.chmod(0o755)
    root = str(Path(__file__).resolve().parents[2])
    serving = subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.warm", str(path)],
        cwd=folder,
        env={**environment, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
    )
    try:
        assert serving.stdout is not None
        assert serving.stdout.readline() == b"ready\n"
        yield folder / "bin"
    finally:
        serving.kill()
        serving.wait()


def serve(path: str) -> None:
    """Answer each command with a fork that runs it."""
    import catalog_registry.registry  # noqa: F401 - what commands import when they run
    import exchange.bootstrap  # noqa: F401
    from console.cli import main, output

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(8)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        asked, _ = listening.accept()
        if os.fork():
            asked.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        words, files, _, _ = socket.recv_fds(asked, 1 << 20, 3)
        for number, file in enumerate(files):
            os.dup2(file, number)
        code = output.run(main.build(), words.decode().split("\0"))
        sys.stdout.flush()
        sys.stderr.flush()
        asked.send(bytes([code]))
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
