"""Builds the test chain on a geth, lets it grow, and tells what geth counts in it.

usage: geth_node.py start URL CHAIN_JSON SCHEME BLOCKS NAME=VALUE...
       geth_node.py grow URL CHAIN_JSON COUNT
       geth_node.py state URL CHAIN_JSON NUMBER|head|disk

Prints one line of JSON. Every number in it is geth's own answer, none is what these scripts meant
to make. BLOCKS may be empty; each NAME=VALUE is put into the JSON as it is.
"""

import json
import os
import sys
import time

from geth_chain import Chain
from geth_rpc import Failure, Rpc

# The most accounts debug_accountRange gives at once.
RANGE = 256
# The states a path-scheme geth keeps in memory above the one on the disk.
LAYERS = 128
# How much is in a block that only makes the chain longer, and in one that is asked for: 3 ms and 30.
SMALL = 5
LARGE = 50
# The write of the last state behind the layers is under way when the last block is committed. More
# than it takes, yet short: a node with a larger write buffer never gets there.
FLUSH_SECONDS = 1

EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
EMPTY_CODE_HASH = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def block_at(rpc, number):
    """A block's number, hash and state root."""
    return blocks_at(rpc, [number])[0]


def blocks_at(rpc, numbers):
    tags = [[one if isinstance(one, str) else hex(one), False] for one in numbers]
    blocks = rpc.batch("eth_getBlockByNumber", tags)
    if None in blocks:
        raise Failure(f"the node has no block {numbers[blocks.index(None)]}")
    return [
        {"number": int(one["number"], 16), "hash": one["hash"], "state_root": one["stateRoot"]}
        for one in blocks
    ]


def accounts_at(rpc, number):
    """Every account of a block, storage included, as geth's own iteration gives them."""
    start, accounts = "0x", {}
    while start is not None:
        page = rpc.call("debug_accountRange", hex(number), start, RANGE, True, False, True)
        accounts.update(page["accounts"])
        start = page.get("next")
    return accounts.values()


def describe(rpc, number):
    """A block and the counts of its state."""
    accounts = accounts_at(rpc, number)
    codes = [one["codeHash"] for one in accounts if one["codeHash"] != EMPTY_CODE_HASH]
    for one in accounts:
        # geth leaves out, unsaid, slots whose plain key it does not know.
        if (one["root"] == EMPTY_ROOT) != (not one.get("storage")):
            raise Failure(f"block {number}: geth shows no storage under root {one['root']}")
    return {
        **block_at(rpc, number),
        "accounts": len(accounts),
        "contracts": len(codes),
        "codes": len(set(codes)),
        "slots": sum(len(one.get("storage", {})) for one in accounts),
    }


def disk(rpc, scheme, head):
    """Where the one state is that a path-scheme node has on its disk, once it is written."""
    if scheme != "path":
        return {"disk_root": None, "disk_block": None, "last_state_id": None}
    deadline = time.monotonic() + FLUSH_SECONDS
    while True:
        # One batch, yet not one moment: only two equal answers to the first tell that it is.
        before, root, after = rpc.batch(
            "debug_dbGet", [["LastStateID"], ["SnapshotRoot"], ["LastStateID"]]
        )
        # The genesis is state 1, and this chain has one state a block and no forks.
        number = int(after, 16) - 1
        late = time.monotonic() > deadline
        if before == after and (late or number == max(0, head["number"] - LAYERS)):
            break
        time.sleep(0.005)
    if block_at(rpc, number)["state_root"] != root:
        raise Failure(f"the state on the disk, {root}, is not that of block {number}")
    return {"disk_root": root, "disk_block": number, "last_state_id": int(after, 16)}


def build(rpc, scheme, blocks):
    version = rpc.call("web3_clientVersion")
    print(f"geth: building the chain on {version}", file=sys.stderr)
    started = time.monotonic()
    chain = Chain(rpc)
    middle = chain.build()
    last = chain.number
    # Before the rest: a path-scheme node forgets the states behind its layers.
    described = [describe(rpc, number) for number in range(last + 1)]
    chain.grow(max(0, (blocks or default_blocks(scheme, last)) - last), SMALL)
    took = time.monotonic() - started
    print(f"geth: {chain.number} blocks in {took:.1f} s", file=sys.stderr)
    return {
        "version": version,
        "scheme": scheme,
        "chain_id": int(rpc.call("eth_chainId"), 16),
        "middle": middle,
        "last": last,
        "addresses": chain.addresses,
        "blocks": described,
    }


def default_blocks(scheme, last):
    """On a path-scheme node so many that the last block with something in it is on the disk."""
    return last + LAYERS if scheme == "path" else last


def recall(rpc, namespaces, path):
    """The chain built earlier; the node must still have its last block."""
    described = load(path)
    if "eth" in namespaces:
        last = described["blocks"][-1]
        if block_at(rpc, last["number"])["hash"] != last["hash"]:
            raise Failure(
                f"block {last['number']} is not the one {path} tells of: remove the directory"
            )
    return described


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def start(rpc, path, scheme, blocks, *more):
    namespaces = rpc.wait()
    if os.path.exists(path):
        described = recall(rpc, namespaces, path)
    else:
        described = build(rpc, scheme, int(blocks or 0))
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(described, file)
        os.replace(path + ".new", path)
    result = {"url": rpc.url, **dict(one.split("=", 1) for one in more)}
    result["pid"] = int(result["pid"])
    # Of a node that does not serve these namespaces, what was written down is all there is.
    if "eth" in namespaces:
        result["head"] = block_at(rpc, "latest")
        if "debug" in namespaces:
            result.update(disk(rpc, scheme, result["head"]))
    return {**result, **described}


def grow(rpc, path, count):
    described = load(path)
    chain = Chain(rpc, described["addresses"])
    before = chain.number
    chain.grow(int(count), LARGE)
    blocks = blocks_at(rpc, range(before + 1, chain.number + 1))
    head = block_at(rpc, "latest")
    return {"head": head, **disk(rpc, described["scheme"], head), "blocks": blocks}


def state(rpc, path, which):
    head = block_at(rpc, "latest")
    if which == "head":
        return describe(rpc, head["number"])
    if which == "disk":
        number = disk(rpc, load(path)["scheme"], head)["disk_block"]
        if number is None:
            raise Failure("a hash-scheme node has no one state on its disk: give a number")
        return describe(rpc, number)
    return describe(rpc, int(which))


def main():
    command, url, *arguments = sys.argv[1:]
    try:
        result = {"start": start, "grow": grow, "state": state}[command](Rpc(url), *arguments)
    except (Failure, OSError, ValueError) as error:
        sys.exit(f"geth: {error}")
    print(json.dumps(result, separators=(",", ":")))


main()
