"""How the cost of a sync grows: with the state, the peers, the distance, and what has changed since the last one."""

import shutil

import bench_plot
from bench_run import Peer, Programs, scratch
from bench_text import align, markdown, median

# Nodes of the states that are synced, and of those that everything else is measured with.
SIZES = (100_000, 1_000_000, 10_000_000)
SIZES_QUICK = (100_000, 300_000, 1_000_000)
PEERS = (1, 2, 4, 8)
DELAYS = (0, 20, 100)
CHURN = (0.001, 0.01, 0.1)
# More peers help where one is slow: at this distance, in milliseconds, eight requests at once fetch some 30,000 items a
# second from one.
PEERS_DELAY = 100


class Growth:
    def __init__(self, options, say):
        self.options, self.say, self.programs = options, say, Programs(options)

    def run(self, peer, program="statesync"):
        """One sync of the peer's state into a new store, in each of the runs."""
        runs = []
        for _ in range(self.options.runs):
            with scratch(self.options) as directory:
                runs.append(getattr(self.programs, program)(peer, peer.state["root"], directory))
        return self.point(peer.state["nodes"], runs)

    def point(self, nodes, runs):
        middle = lambda field: median([run[field] for run in runs])
        point = {
            "nodes": nodes,
            "wall_seconds": middle("wall_seconds"),
            "cpu_seconds": middle("cpu_seconds"),
            "peak_bytes": middle("peak_bytes"),
            "items": middle("items"),
            "requests": middle("requests"),
        }
        point["cpu_ns_per_node"] = point["cpu_seconds"] / nodes * 1e9
        point["nodes_per_second"] = nodes / point["wall_seconds"]
        cpu = point["cpu_ns_per_node"]
        self.say(f"  {nodes:,} nodes: {point['wall_seconds']:.1f} s, {cpu:,.0f} ns of CPU time a node")
        return point

    def sizes(self):
        points = {"statesync": []} | ({"geth": []} if self.options.geth_sync else {})
        for nodes in SIZES_QUICK if self.options.quick else SIZES:
            with Peer(self.options.peer, nodes) as peer:
                for program in points:
                    self.say(f"{program} and a state of {nodes:,} nodes")
                    points[program].append({"size": nodes, **self.run(peer, program)})
        return points

    def peers(self):
        points = []
        for count in PEERS:
            self.say(f"{count} peers, {PEERS_DELAY} ms away")
            with Peer(self.options.peer, self.options.nodes, ports=count, delay_ms=PEERS_DELAY) as peer:
                points.append({"peers": count, **self.run(peer)})
        return points

    def delays(self):
        points = {"statesync": []} | ({"geth": []} if self.options.geth_sync else {})
        for delay in DELAYS:
            with Peer(self.options.peer, self.options.nodes, delay_ms=delay) as peer:
                for program in points:
                    self.say(f"{program} and a peer {delay} ms away")
                    points[program].append({"delay_ms": delay, **self.run(peer, program)})
        return points

    def churn(self):
        """Each changed state into a copy of the store that has the first."""
        points = []
        with Peer(self.options.peer, self.options.nodes, churn=CHURN) as peer, scratch(self.options) as first:
            self.say("the first state")
            self.programs.statesync(peer, peer.state["root"], first)
            for state in peer.churned:
                self.say(f"{state['churn']:.1%} of the accounts changed")
                runs = []
                for _ in range(self.options.runs):
                    with scratch(self.options) as directory:
                        shutil.copytree(first, directory)
                        runs.append(self.programs.statesync(peer, state["root"], directory))
                point = self.point(state["nodes"], runs)
                fetched = median([run["printed"]["nodes_fetched"] for run in runs])
                reused = median([run["printed"]["nodes_reused"] for run in runs])
                points.append({"churn": state["churn"], **point, "fetched": fetched, "reused": reused})
        return points


def tables(result):
    """Each as (what it shows, rows)."""
    number, seconds = lambda value: f"{value:,.0f}", lambda value: f"{value:,.1f}"
    cost = lambda point: [
        seconds(point["wall_seconds"]),
        number(point["cpu_ns_per_node"]),
        number(point["peak_bytes"] / 1e6),
        number(point["nodes_per_second"]),
    ]
    head = ["wall-clock, s", "CPU time a node, ns", "peak memory, MB", "nodes a second"]
    both = lambda points: [(name, point) for name, of in points.items() for point in of]
    named = {"statesync": "statesync", "geth": "geth's engine"}
    yield "State size", [["", "nodes", *head]] + [
        [named[name], number(point["nodes"]), *cost(point)] for name, point in both(result["sizes"])
    ]
    yield f"Peers, each {PEERS_DELAY} ms away", [["peers", *head]] + [
        [number(point["peers"]), *cost(point)] for point in result["peers"]
    ]
    yield "Distance of the peer", [["", "ms", *head]] + [
        [named[name], number(point["delay_ms"]), *cost(point)] for name, point in both(result["delays"])
    ]
    head = ["accounts changed", "nodes that differ", "nodes fetched", "items asked for", "wall-clock, s", "CPU time, s"]
    yield "What has changed since the last sync", [head] + [
        [
            f"{point['churn']:.1%}",
            number(point["nodes"]),
            number(point["fetched"]),
            number(point["items"]),
            f"{point['wall_seconds']:.2f}",
            f"{point['cpu_seconds']:.2f}",
        ]
        for point in result["churn"]
    ]


def plots(result):
    named = {"statesync": "statesync", "geth": "geth's engine"}
    over = lambda points, x, y, scale=1: [(point[x], point[y] * scale) for point in points]
    lines = lambda points, x, y, scale=1: [(named[name], over(of, x, y, scale)) for name, of in points.items()]
    sizes, delays = result["sizes"], result["delays"]
    draw = bench_plot.lines
    against_size = lambda what, unit, points: draw(f"{what} against state size", "nodes", unit, points, True)
    by_size = lambda what, unit, *field: against_size(what, unit, lines(sizes, "nodes", *field))
    return {
        "size-cpu": by_size("CPU time", "ns a node", "cpu_ns_per_node"),
        "size-wall": by_size("Time", "seconds", "wall_seconds"),
        "size-memory": by_size("Peak memory", "MB", "peak_bytes", 1e-6),
        "peers": draw(
            f"Speed against peers, each {PEERS_DELAY} ms away",
            "peers",
            "nodes a second",
            [("statesync", over(result["peers"], "peers", "nodes_per_second"))],
        ),
        "distance": draw(
            "Speed against distance",
            "ms",
            "nodes a second",
            lines(delays, "delay_ms", "nodes_per_second"),
        ),
        "churn": draw(
            "Fetched against what differs",
            "% of the accounts changed",
            "nodes",
            [
                (name, [(point["churn"] * 100, point[field]) for point in result["churn"]])
                for name, field in (("fetched", "fetched"), ("differ", "nodes"))
            ],
            True,
        ),
    }


def measure(options, say):
    growth = Growth(options, say)
    return {"churn": growth.churn(), "sizes": growth.sizes(), "peers": growth.peers(), "delays": growth.delays()}


def text(result):
    return "\n\n".join(f"{name}\n\n{align(rows)}" for name, rows in tables(result))


def document(result):
    pictures = {
        "State size": ("size-cpu", "size-wall", "size-memory"),
        "Peers": ("peers",),
        "Distance": ("distance",),
        "What": ("churn",),
    }
    sections = []
    for name, rows in tables(result):
        drawn = next(names for prefix, names in pictures.items() if name.startswith(prefix))
        images = "\n".join(f"![{picture}](performance/{picture}.svg)" for picture in drawn)
        sections.append(f"### {name}\n\n{markdown(rows)}\n\n{images}")
    return "\n\n".join(sections)
