"""Kills a sync at random moments: scripts/kill says what for."""

import argparse
import json
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# What is handed out and not durable at most (`OUTSTANDING_MAX`): what one kill can cost.
BOUND = 16_384
# The longest that a run lives before it is killed, in seconds. Commits are made twice a second, and the log is synced
# every third: some runs live long enough for both.
LIFE = 1.2
LONG_LIFE = 4.0
LONG_SHARE = 0.05
# What one run may fetch on average, as a multiple of what would complete the sync by the last kill if no kill cost
# anything and each run came so far. Few do: this gets to about half of the state.
SHARE = 2.5
# A right value in a reply.
VALUE = b'"result":"0x'
FIELDS = ("accounts", "slots", "codes", "nodes")


def make_genesis(path, accounts, rng):
    """Writes an allocation: accounts, a fifth of them contracts with storage and code."""
    alloc = {}
    for _ in range(accounts):
        account = {"balance": hex(rng.getrandbits(80))}
        if rng.random() < 0.2:
            account["code"] = "0x" + rng.randbytes(rng.randrange(20, 300)).hex()
            slots = range(rng.randrange(12))
            account["storage"] = {"0x" + rng.randbytes(32).hex(): hex(1 + rng.getrandbits(100)) for _ in slots}
        alloc["0x" + rng.randbytes(20).hex()] = account
    path.write_text(json.dumps({"config": {"chainId": 1}, "difficulty": "0x1", "gasLimit": "0x1", "alloc": alloc}))


class Proxy:
    """Stands before the peer, counts the values that it sends, and lets through only so many, so fast."""

    def __init__(self, peer):
        self.peer, self.served, self.limit, self.rate = peer, 0, float("inf"), float("inf")
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            peer = socket.create_connection(self.peer)
            threading.Thread(target=self.carry, args=(client, peer), daemon=True).start()
            threading.Thread(target=self.carry_replies, args=(peer, client), daemon=True).start()

    def carry(self, source, sink):
        try:
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def carry_replies(self, source, sink):
        rest = b""
        try:
            while piece := source.recv(1 << 16):
                # A value's beginning may be cut in two by the pieces.
                seen = rest + piece
                rest = seen[-(len(VALUE) - 1):]
                values = seen.count(VALUE)
                with self.lock:
                    # At the limit, wait until the client is killed: its socket closes then.
                    while self.served >= self.limit and is_open(sink):
                        time.sleep(0.002)
                    sink.sendall(piece)
                    self.served += values
                    if self.rate != float("inf"):
                        time.sleep(values / self.rate)
        except OSError:
            pass
        source.close()


def is_open(client):
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


class Program:
    def __init__(self, binary):
        self.binary = binary

    def json(self, *arguments):
        done = subprocess.run([self.binary, *arguments, "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"FAIL: {arguments[0]} ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def counts(self, datadir):
        """What has been fetched and committed; nothing where no store was made yet."""
        done = subprocess.run([self.binary, "status", "--datadir", datadir, "--json"], capture_output=True, text=True)
        if done.returncode == 10:
            return dict.fromkeys(FIELDS, 0)
        if done.returncode != 0:
            raise SystemExit(f"FAIL: status ended with {done.returncode}: {done.stderr}")
        roots = json.loads(done.stdout)["roots"]
        return {field: roots[0][field] if roots else 0 for field in FIELDS}


def items(counts):
    return counts["nodes"] + counts["codes"]


def check(is_right, message):
    if not is_right:
        raise SystemExit(f"FAIL: {message}")


def run(options, work, peer, root):
    rng, program, proxy = random.Random(options.seed), Program(options.binary), Proxy(peer)
    sync = ("sync", "-r", proxy.url, "--root", root)
    whole = str(work / "whole")
    program.json(*sync, "--datadir", whole)
    want = program.counts(whole)
    print(f"state: {want['nodes']} nodes, {want['codes']} codes, {want['accounts']} accounts, {want['slots']} slots")

    datadir, before, lost, complete = str(work / "killed"), dict.fromkeys(FIELDS, 0), [], 0
    quota = SHARE * items(want) / options.kills
    begun, first = time.monotonic(), proxy.served
    seen = first
    for kill in range(1, options.kills + 1):
        life = rng.uniform(0, LONG_LIFE if rng.random() < LONG_SHARE else LIFE)
        proxy.limit = proxy.served + rng.uniform(0, 2 * quota)
        proxy.rate = 2 * quota / LIFE
        command = [options.binary, *sync, "--datadir", datadir, "--no-progress", "-q"]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, said = child.communicate(timeout=life)
            check(child.returncode == 0, f"run {kill} ended with {child.returncode} by itself: {said.decode()}")
            complete += 1
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        # What is still on its way to a client that is dead counts as the next one's.
        total = proxy.served
        served, seen = total - seen, total
        now = program.counts(datadir)
        check(all(now[field] >= before[field] for field in FIELDS), f"kill {kill} took back a count: {before} {now}")
        lost.append(served - (items(now) - items(before)))
        check(0 <= lost[-1] <= BOUND, f"kill {kill} cost {lost[-1]} items")
        before = now
    killed_at = items(before)

    proxy.limit = proxy.rate = float("inf")
    result = program.json(*sync, "--datadir", datadir)
    check(result["complete"], f"incomplete: {result}")
    # The root, which each run reads to find out what the peer speaks, counts too.
    again = proxy.served - first - items(want)
    seconds = time.monotonic() - begun
    have = program.counts(datadir)
    check(have == want, f"counted {have}, uninterrupted {want}")
    for directory in (whole, datadir):
        verified = program.json("verify", "--datadir", directory, "--root", root)
        check(all(verified[field] == want[field] for field in ("nodes", "codes")), f"verify: {verified} {want}")
    print(f"kills: {options.kills - complete}, at {killed_at} of {items(want)} items by the last")
    print(f"fetched again: {again} of {items(want)} items ({100 * again / items(want):.1f} %)")
    print(f"by one kill: at most {max(lost)}, {again / options.kills:.0f} on average; the bound is {BOUND}")
    print(f"time: {seconds:.0f} s")
    check(complete == 0, f"{complete} runs came to the end before they were killed")
    print("PASS")


def main():
    parser = argparse.ArgumentParser(prog="scripts/kill")
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accounts", type=int, default=105_000)
    options = parser.parse_args()
    # So that the peer ends with this, however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        genesis = work / "genesis.json"
        make_genesis(genesis, options.accounts, random.Random(options.seed))
        root = Program(options.binary).json("import", "--genesis", str(genesis), "--datadir", str(work / "imported"))
        serve = [options.binary, "serve", "--datadir", str(work / "imported"), "--listen", "127.0.0.1:0"]
        server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
        try:
            port = int(re.search(r":(\d+)$", server.stderr.readline().strip()).group(1))
            run(options, work, ("127.0.0.1", port), root["root"])
        finally:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
