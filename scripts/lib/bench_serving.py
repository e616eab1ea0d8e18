"""What a stored state costs to check and to serve."""

import contextlib
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time

from bench_run import Failure, Peer, Programs, cpu_seconds, peak_bytes, scratch
from bench_text import median, spread

GENESIS = pathlib.Path("scripts/lib/geth_genesis.json")
# geth listens within seconds.
START_SECONDS = 60
# Each measurement of a server's load, in seconds; the first fills the caches and does not count.
LOAD_SECONDS = 8
CONNECTIONS = 8
BATCH = 1_000
# Megabytes that geth may cache: more than the state of this benchmark has.
GETH_CACHE = 1024


def verify(options, say):
    """`statesync verify` beside the hashing that it cannot do without."""
    programs, runs = Programs(options), []
    with Peer(options.peer, options.nodes) as peer, scratch(options) as directory:
        nodes, root = peer.state["nodes"], peer.state["root"]
        programs.statesync(peer, root, directory)
        for turn in range(options.runs):
            took, printed = programs.verify(root, directory)
            if not printed["ok"] or printed["nodes"] != nodes:
                raise Failure(f"verify found {printed}")
            runs.append(took)
            took["cpu_ns_per_node"] = took["cpu_seconds"] / nodes * 1e9
            cost = f"{took['cpu_ns_per_node']:,.0f} ns of CPU time a node"
            say(f"verify {turn + 1}: {took['wall_seconds']:.1f} s, {cost}")
    floor = programs.floor(options.nodes)
    cpu = [run["cpu_ns_per_node"] for run in runs]
    return {
        "nodes": nodes,
        "cpu_ns_per_node": cpu,
        "wall_seconds": [run["wall_seconds"] for run in runs],
        "peak_bytes": [run["peak_bytes"] for run in runs],
        "keccak_ns": floor["keccak_ns"],
        "cpu_ratio_vs_keccak": median(cpu) / floor["keccak_ns"],
    }


def verify_rows(result):
    return [
        ["nodes", "CPU time a node, ns", "keccak alone, ns", "verify / keccak", "wall-clock, s", "peak memory, MB"],
        [
            f"{result['nodes']:,}",
            spread(result["cpu_ns_per_node"], 1, 0),
            f"{result['keccak_ns']:,.0f}",
            f"{result['cpu_ratio_vs_keccak']:.2f}",
            spread(result["wall_seconds"]),
            spread(result["peak_bytes"], 1e-6, 0),
        ],
    ]


def serving(options, say):
    """Items for a second of the server's CPU time, statesync and geth in turns under the same load."""
    programs, results = Programs(options), {}
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(Peer(options.peer, options.nodes))
        store = stack.enter_context(scratch(options))
        nodes, root = peer.state["nodes"], peer.state["root"]
        programs.statesync(peer, root, store)
        servers = {"statesync": stack.enter_context(serve(options, store))}
        if options.geth_sync and options.geth:
            datadir = stack.enter_context(scratch(options))
            servers["geth"] = stack.enter_context(geth(options, programs, peer, root, datadir, say))
        for turn in range(options.runs + 1):
            for name, (pid, address) in servers.items():
                before = cpu_seconds(pid)
                done = load(options, address)
                run = {**done, "cpu_seconds": cpu_seconds(pid) - before, "peak_bytes": peak_bytes(pid)}
                if done["not_answered"]:
                    raise Failure(f"{name} did not answer {done['not_answered']} of {done['items']} items")
                run["items_per_cpu_second"] = run["items"] / run["cpu_seconds"]
                run["items_per_second"] = run["items"] / run["seconds"]
                say(f"{name} {turn}: {run['items_per_cpu_second']:,.0f} items for a second of CPU time")
                if turn > 0:
                    results.setdefault(name, []).append(run)
    ratio = None
    if "geth" in results:
        of = lambda name: median([run["items_per_cpu_second"] for run in results[name]])
        ratio = of("statesync") / of("geth")
    asked = {"connections": CONNECTIONS, "items_in_a_request": BATCH}
    return {"nodes": nodes, **asked, "items_per_cpu_second_vs_geth": ratio, **results}


def serving_rows(result):
    rows = [["", "items for a second of CPU time", "items a second", "peak memory, MB"]]
    for name, title in (("statesync", "statesync serve"), ("geth", "geth")):
        if name not in result:
            rows.append([title, "no Go", "", ""])
            continue
        of = lambda field: [run[field] for run in result[name]]
        rates = [spread(of(field), 1, 0) for field in ("items_per_cpu_second", "items_per_second")]
        rows.append([title, *rates, spread(of("peak_bytes"), 1e-6, 0)])
    return rows


def load(options, address):
    command = [options.peer, "--nodes", str(options.nodes), "--load", address, "--seconds", str(LOAD_SECONDS)]
    command += ["--connections", str(CONNECTIONS), "--batch", str(BATCH)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@contextlib.contextmanager
def serve(options, store):
    command = [options.statesync, "serve", "--datadir", str(store), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield server.pid, re.search(r"http://(\S+)", server.stderr.readline()).group(1)
        finally:
            server.kill()


@contextlib.contextmanager
def geth(options, programs, peer, root, directory, say):
    """A geth with the state's nodes in its database: of a chain of one block whose state is another one."""
    scheme = ["--state.scheme", "hash"]
    init = [options.geth, "init", "--datadir", str(directory), *scheme, str(GENESIS)]
    subprocess.run(init, check=True, capture_output=True)
    say("geth's database")
    programs.geth(peer, root, directory / "geth" / "chaindata")
    command = [options.geth, "--datadir", str(directory), "--dev", *scheme]
    command += ["--gcmode", "archive", "--cache", str(GETH_CACHE)]
    command += ["--nodiscover", "--maxpeers", "0", "--port", "0", "--nat", "none", "--ipcdisable"]
    command += ["--authrpc.addr", "127.0.0.1", "--authrpc.port", "0"]
    command += ["--http", "--http.addr", "127.0.0.1", "--http.port", "0", "--http.api", "debug"]
    with tempfile.NamedTemporaryFile("r") as log, open(log.name, "w") as sink:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        try:
            yield server.pid, endpoint(server, log.name)
        finally:
            # geth hears signals only some time after it listens.
            while server.poll() is None:
                server.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(2)


def endpoint(server, log):
    for _ in range(START_SECONDS * 10):
        said = re.search(r"HTTP server started.*endpoint=(127\.0\.0\.1:\d+)", pathlib.Path(log).read_text())
        if said:
            return said.group(1)
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise Failure(f"geth does not listen: {pathlib.Path(log).read_text()[-2000:]}")
