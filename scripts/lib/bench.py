"""The speed of a whole sync beside geth's own engine and beside the floor: scripts/bench says what for."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

import bench_growth
import bench_plot
import bench_serving
from bench_run import Failure, Peer, Programs, open_files, scratch
from bench_text import align, markdown, median, replace_between, spread

DOCUMENT = pathlib.Path("docs/PERFORMANCE.md")
PLOTS = pathlib.Path("docs/performance")
FLOOR = (("keccak_ns", "keccak"), ("hex_ns", "hex"), ("json_ns", "JSON"), ("ingest_ns", "ingest"))


def say(message):
    print(f"bench: {message}", file=sys.stderr, flush=True)


def about(options):
    """On what machine, of what."""
    model = platform.processor() or platform.machine()
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        model = next(line.split(": ", 1)[1] for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"something else runs on this machine (load {load:.1f}): the figures are worth less")
    git = lambda *words: subprocess.run(["git", *words], capture_output=True, text=True).stdout.strip()
    dirty = "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": git("rev-parse", "--short=12", "HEAD") + dirty,
        "machine": {
            "cpu": model,
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        },
        "load_before": round(load, 2),
        "batch": options.batch,
        "inflight": options.inflight,
    }


def whole_sync(options):
    """Both programs in turns over the same state from the same peer, and the floor."""
    programs, runs = Programs(options), {"statesync": [], "geth": []}
    head = about(options)
    with Peer(options.peer, options.nodes) as peer:
        state = peer.state
        say(f"state: {state['nodes']:,} nodes, {state['codes']:,} codes, {state['bytes']:,} bytes")
        for turn in range(options.runs):
            for name in ("statesync", "geth") if turn % 2 == 0 else ("geth", "statesync"):
                if name == "geth" and not options.geth_sync:
                    continue
                with scratch(options) as directory:
                    run = getattr(programs, name)(peer, state["root"], directory)
                runs[name].append(run)
                cpu = run["cpu_seconds"] / state["nodes"] * 1e9
                say(f"{name} {turn + 1}: {run['wall_seconds']:.1f} s, {cpu:,.0f} ns of CPU time a node")
    say("the floor")
    floor = programs.floor(options.nodes)
    result = {**head, "nodes": state["nodes"], "state": state, "floor": floor}
    result |= {name: figures(ran, state["nodes"]) for name, ran in runs.items() if ran}
    ours, geth = result["statesync"], result.get("geth")
    result["cpu_ratio_vs_floor"] = ours["cpu_ns_per_node"]["median"] / floor["total_ns"]
    for ratio, field in (("cpu_ratio_vs_geth", "cpu_ns_per_node"), ("wall_ratio_vs_geth", "wall_seconds")):
        result[ratio] = geth[field]["median"] / ours[field]["median"] if geth else None
    return result


def figures(runs, nodes):
    """Median, least and most of each figure."""
    fields = ("wall_seconds", "cpu_seconds", "system_seconds", "peak_bytes", "written_bytes", "disk_bytes")
    fields += ("requests", "items", "received_bytes", "peer_cpu_seconds")
    values = {field: [run[field] for run in runs] for field in fields}
    values["cpu_ns_per_node"] = [run["cpu_seconds"] / nodes * 1e9 for run in runs]
    values["nodes_per_second"] = [nodes / run["wall_seconds"] for run in runs]
    return {field: {"median": median(of), "min": min(of), "max": max(of), "runs": of} for field, of in values.items()}


ROWS = (
    ("CPU time a node, ns", "cpu_ns_per_node", 1, 0),
    ("wall-clock, s", "wall_seconds", 1, 1),
    ("nodes a second", "nodes_per_second", 1, 0),
    ("peak memory, MB", "peak_bytes", 1e-6, 0),
    ("requests", "requests", 1, 0),
    ("items asked for", "items", 1, 0),
    ("received, MB", "received_bytes", 1e-6, 1),
    ("written to disk, MB", "written_bytes", 1e-6, 0),
    ("disk used, MB", "disk_bytes", 1e-6, 0),
    ("the peer's CPU time, s", "peer_cpu_seconds", 1, 1),
)


def table(result):
    ours, geth = result["statesync"], result.get("geth")
    rows = [["", "statesync", "geth's engine", "geth / statesync"]]
    for name, field, scale, digits in ROWS:
        cells = [spread(of[field]["runs"], scale, digits) if of else "no Go" for of in (ours, geth)]
        ratio = f"{geth[field]['median'] / ours[field]['median']:.2f}" if geth and ours[field]["median"] else ""
        rows.append([name, *cells, ratio])
    return rows


def floor_table(result):
    floor = result["floor"]
    parts = [f"{floor[field]:,.0f}" for field, _ in FLOOR]
    return [
        ["the floor", *(name for _, name in FLOOR), "sum", "statesync / floor"],
        ["ns a node", *parts, f"{floor['total_ns']:,.0f}", f"{result['cpu_ratio_vs_floor']:.2f}"],
    ]


def plot(result):
    floor = [(name, result["floor"][field]) for field, name in FLOOR]
    values = [("statesync", [("whole program", result["statesync"]["cpu_ns_per_node"]["median"])])]
    if "geth" in result:
        values.append(("geth's engine", [("whole program", result["geth"]["cpu_ns_per_node"]["median"])]))
    return bench_plot.bars("CPU time of a whole sync", "ns a node", [*values, ("floor", floor)])


def described(result):
    machine, state = result["machine"], result["state"]
    runs = len(result["statesync"]["wall_seconds"]["runs"])
    return (
        f"{result['date'][:10]}, commit {result['commit']}, {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB. {state['nodes']:,} nodes, {state['codes']:,} codes, "
        f"{state['accounts']:,} accounts, {state['slots']:,} slots; {result['batch']} items a request, "
        f"{result['inflight']} requests at once. "
        f"Medians of {runs} runs, least and most in brackets."
    )


def publish(options, result, text, plots, section):
    """The result as JSON into a file, the plots beside it, and with --docs both into the documentation."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for directory in [options.out.parent, *([PLOTS] if options.docs else [])]:
        directory.mkdir(parents=True, exist_ok=True)
        for name, svg in plots.items():
            (directory / f"{name}.svg").write_text(svg)
    if options.docs:
        DOCUMENT.write_text(replace_between(DOCUMENT.read_text(), section, text))


def main_benchmark(options):
    result = whole_sync(options)
    rows, floor = table(result), floor_table(result)
    pictures = {"sync": plot(result)}
    picture = "![CPU time of a whole sync](performance/sync.svg)"
    document = "\n\n".join([described(result), markdown(rows), markdown(floor), picture])
    publish(options, result, document, pictures, "bench")
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{described(result)}\n\n{align(rows)}\n\n{align(floor)}")


def growth_benchmark(options):
    result = {**about(options), "nodes": options.nodes, **bench_growth.measure(options, say)}
    publish(options, result, bench_growth.document(result), bench_growth.plots(result), "growth")
    print(json.dumps(result) if options.json else bench_growth.text(result))


def verify_benchmark(options):
    result = {**about(options), **bench_serving.verify(options, say)}
    rows = bench_serving.verify_rows(result)
    publish(options, result, markdown(rows), {}, "verify")
    print(json.dumps(result) if options.json else align(rows))


def serving_benchmark(options):
    result = {**about(options), **bench_serving.serving(options, say)}
    rows = bench_serving.serving_rows(result)
    publish(options, result, markdown(rows), {}, "serving")
    print(json.dumps(result) if options.json else align(rows))


BENCHMARKS = {
    "sync": main_benchmark,
    "growth": growth_benchmark,
    "verify": verify_benchmark,
    "serving": serving_benchmark,
}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("what", nargs="?", default="sync", choices=BENCHMARKS)
    parser.add_argument("--statesync", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--peer", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--geth-sync", default="", help=argparse.SUPPRESS)
    parser.add_argument("--geth", default="", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--nodes", type=int, help="about how many nodes the state has (1,000,000)")
    parser.add_argument("--runs", type=int, help="runs of each (5; growth 3; fewer with --quick)")
    parser.add_argument("--batch", type=int, default=384, help="items in a request")
    parser.add_argument("--inflight", type=int, default=8, help="requests at once")
    parser.add_argument("--out", type=pathlib.Path, help="where the JSON goes")
    parser.add_argument("--docs", action="store_true", help="write the tables and plots into docs/ too")
    options = parser.parse_args()
    full, quick = (3, 1) if options.what == "growth" else (5, 2)
    options.runs = options.runs or (quick if options.quick else full)
    options.nodes = options.nodes or (300_000 if options.quick and options.what == "growth" else 1_000_000)
    options.out = options.out or options.work / ("latest.json" if options.what == "sync" else f"{options.what}.json")
    open_files()
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        BENCHMARKS[options.what](options)
    except Failure as failure:
        sys.exit(f"bench: {failure}")


if __name__ == "__main__":
    main()
