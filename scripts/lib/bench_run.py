"""Processes that are measured, and the peer that they sync from."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import time
import urllib.request

# Clock ticks in a second, of /proc/PID/stat.
TICKS = os.sysconf("SC_CLK_TCK")
# rusage counts what was written to the disk in blocks of so many bytes.
BLOCK = 512


class Failure(Exception):
    pass


def measure(command, directory):
    """Runs a program to its end: what it printed as JSON, and what it took. Nobody else's work counts."""
    # What the last run left to be written is not this one's.
    os.sync()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        wall = time.monotonic() - started
        written = written_bytes(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if child.returncode != 0:
            raise Failure(f"{' '.join(command)} ended with {child.returncode}: {err.read()[-2000:]}")
        printed = json.loads(out.read().strip().splitlines()[-1])
    return {
        "wall_seconds": wall,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "system_seconds": usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "written_bytes": usage.ru_oublock * BLOCK if written is None else written,
        "disk_bytes": disk_bytes(directory),
    }, printed


def written_bytes(pid):
    """What a process that has ended, and has not been waited for, had the disk write."""
    try:
        text = pathlib.Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return None
    fields = dict(line.split(": ") for line in text.splitlines())
    return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])


def disk_bytes(directory):
    return sum(file.stat().st_blocks * 512 for file in pathlib.Path(directory).rglob("*") if file.is_file())


def cpu_seconds(pid):
    """User and system time of a process that runs."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_bytes(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def open_files():
    """geth opens 1,000 files; the usual limit is 1,024 and may be raised to what the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Peer:
    """The peer's process, and what it says of its state."""

    def __init__(self, binary, nodes, *, churn=(), delay_ms=0, ports=1, seed=1):
        command = [binary, "--nodes", str(nodes), "--delay-ms", str(delay_ms), "--ports", str(ports)]
        command += ["--seed", str(seed), *(["--churn", ",".join(map(str, churn))] if churn else [])]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.child.stdout.readline()
        if not line:
            raise Failure(f"{' '.join(command)} ended with {self.child.wait()}")
        said = json.loads(line)
        self.urls, self.state, self.churned = said["urls"], said["state"], said["churned"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()

    def stats(self):
        """What it has answered so far, on all ports, and the CPU time that took."""
        call = json.dumps({"id": 1, "jsonrpc": "2.0", "method": "bench_stats", "params": []}, separators=(",", ":"))
        totals = {"cpu_seconds": cpu_seconds(self.child.pid)}
        for url in self.urls:
            request = urllib.request.Request(url, call.encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as reply:
                for name, count in json.load(reply)["result"].items():
                    totals[name] = totals.get(name, 0) + count
        return totals


class Programs:
    """How each program is started. Both ask for as much at once, in as many requests at once."""

    def __init__(self, options):
        self.options = options

    def statesync(self, peer, root, directory):
        options = self.options
        command = [options.statesync, "sync", "--root", root, "--datadir", str(directory), "--json"]
        command += ["--batch-size", str(options.batch), "--max-concurrent-requests", str(options.inflight)]
        for url in peer.urls:
            command += ["-r", url]
        return self.sync("statesync", peer, command, directory)

    def geth(self, peer, root, directory):
        options = self.options
        command = [options.geth_sync, "-url", peer.urls[0], "-root", root, "-datadir", str(directory)]
        command += ["-batch", str(options.batch), "-inflight", str(options.inflight)]
        return self.sync("geth", peer, command, directory)

    def sync(self, name, peer, command, directory):
        before = peer.stats()
        took, printed = measure(command, directory)
        after = peer.stats()
        asked = {field: after[field] - before[field] for field in before}
        if name == "statesync" and not printed["complete"]:
            raise Failure(f"statesync did not complete: {printed}")
        return {
            "program": name,
            **took,
            "requests": asked["requests"],
            "items": asked["items"],
            "received_bytes": asked["sent"],
            "peer_cpu_seconds": asked["cpu_seconds"],
            "printed": printed,
        }

    def verify(self, root, directory):
        command = [self.options.statesync, "verify", "--root", root, "--datadir", str(directory), "--json"]
        return measure(command, directory)

    def floor(self, nodes, seed=1):
        command = [self.options.peer, "--nodes", str(nodes), "--seed", str(seed), "--floor"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@contextlib.contextmanager
def scratch(options):
    """A directory for a database, on the disk that the target directory is on; gone afterwards."""
    path = tempfile.mkdtemp(prefix="run-", dir=options.work)
    try:
        yield pathlib.Path(path) / "db"
    finally:
        shutil.rmtree(path, ignore_errors=True)
