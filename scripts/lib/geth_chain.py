"""Builds the test chain on a fresh geth, or checks the one a directory already has.

usage: geth_chain.py URL PID CHAIN_JSON

Prints one line of JSON. Every number in it is geth's own answer, none is what this script meant
to make. The blocks are committed with fixed times, senders and transactions, so the chain comes
out the same, hash for hash, every time it is built by one version of geth.
"""

import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request

REQUEST_SECONDS = 60
# The node listens before its services answer.
READY_SECONDS = 30
# Half of geth's own limit of 1000 calls a batch.
BATCH = 500
# The most accounts debug_accountRange gives at once.
RANGE = 256

GENESIS_TIME = 1_750_000_000
SECONDS_A_BLOCK = 12
# EIP-7825: no transaction may ask for more.
GAS_A_TRANSACTION = 1 << 24
TRANSFER_GAS = 21_000
GWEI = 10**9
ETHER = 10**18
EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
EMPTY_CODE_HASH = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
# EIP-170, which the largest contract fills to the byte.
MAX_CODE = 24_576
# An x coordinate on the curve, hence a signature that recovers to an account nobody has the key of.
GENERATOR_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798

# Pairs of slots whose keccak hashes share their first 11 nibbles. A leaf below so long a path is
# under 32 bytes for a value up to 0x7f, and so embedded in its parent, and 32 bytes or more above.
DEEP_SLOTS = [(0x6C1400, 0x9BDD27), (0x66145D, 0xED0BEA), (0x182BA1, 0xC1DB23)]


class Failure(Exception):
    """Something geth said, or did not say, that ends the build."""


class Rpc:
    """JSON-RPC over HTTP to one node."""

    def __init__(self, url):
        self.url = url
        # The node is on this machine: a proxy in the environment is not for it.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(self, body):
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with self.opener.open(request, timeout=REQUEST_SECONDS) as answer:
            return json.load(answer)

    def call(self, method, *params):
        return self.batch(method, [params])[0]

    def batch(self, method, params_list):
        """Calls one method once for each entry of params_list; gives the results in that order."""
        results = []
        for first in range(0, len(params_list), BATCH):
            chunk = params_list[first : first + BATCH]
            answers = self.post(
                [
                    {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
                    for index, params in enumerate(chunk)
                ]
            )
            by_id = {answer["id"]: answer for answer in answers}
            for index in range(len(chunk)):
                answer = by_id.get(index, {})
                if "result" not in answer:
                    raise Failure(f"{method}: {answer.get('error', 'no answer')}")
                results.append(answer["result"])
        return results

    def wait(self):
        """Asks until the node answers; gives its version."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                return self.call("web3_clientVersion")
            except (OSError, ValueError) as error:
                if time.monotonic() > deadline:
                    raise Failure(f"no answer from {self.url}: {error}") from error
                time.sleep(0.1)


OPCODES = {
    "STOP": 0x00, "ADD": 0x01, "MUL": 0x02, "SUB": 0x03, "EQ": 0x14, "ISZERO": 0x15,
    "KECCAK256": 0x20, "CALLDATALOAD": 0x35, "CALLDATASIZE": 0x36, "CODECOPY": 0x39,
    "MSTORE": 0x52, "SSTORE": 0x55, "JUMP": 0x56, "JUMPI": 0x57, "JUMPDEST": 0x5B,
    "PUSH0": 0x5F, "DUP1": 0x80, "DUP2": 0x81, "SWAP1": 0x90, "RETURN": 0xF3,
}  # fmt: skip


def assemble(source):
    """Bytecode of a listing of opcodes and numbers to push; `name:` marks a place, `@name` pushes it."""
    code, labels, holes = bytearray(), {}, []
    for word in source.split():
        if word.endswith(":"):
            labels[word[:-1]] = len(code)
            code.append(OPCODES["JUMPDEST"])
        elif word.startswith("@"):
            holes.append((len(code) + 1, word[1:]))
            code += b"\x61\0\0"
        elif word.isdigit():
            code += b"\x61" + int(word).to_bytes(2, "big")
        else:
            code.append(OPCODES[word])
    for place, name in holes:
        code[place : place + 2] = labels[name].to_bytes(2, "big")
    return bytes(code)


# Calldata start, count, factor: balances[i] = i * factor for each i of the range, the mapping's
# slots being keccak(i . 0) as Solidity lays them out. A factor of 0 deletes.
TOKEN = assemble(
    """
    PUSH0 CALLDATALOAD
    next: DUP1 PUSH0 CALLDATALOAD 32 CALLDATALOAD ADD EQ @done JUMPI
      DUP1 PUSH0 MSTORE
      DUP1 64 CALLDATALOAD MUL
      64 PUSH0 KECCAK256 SSTORE
      1 ADD @next JUMP
    done: STOP
    """
)

# Calldata of slot, value pairs: stores each.
LEDGER = assemble(
    """
    PUSH0
    next: DUP1 CALLDATASIZE EQ @done JUMPI
      DUP1 32 ADD CALLDATALOAD
      DUP2 CALLDATALOAD SSTORE
      64 ADD @next JUMP
    done: STOP
    """
)


def deployment(runtime, slots=0):
    """Init code that stores i + 7 in each slot i below `slots` and deploys `runtime`."""

    def init(offset):
        return assemble(
            f"""
            {slots}
            next: DUP1 ISZERO @done JUMPI
              1 SWAP1 SUB
              DUP1 7 ADD DUP2 SSTORE
              @next JUMP
            done: {len(runtime)} DUP1 {offset} PUSH0 CODECOPY PUSH0 RETURN
            """
        )

    return init(len(init(0))) + runtime


def filler(size):
    """Code of `size` bytes that stops at once and does not compress."""
    blocks = [hashlib.sha256(b"code %d" % index).digest() for index in range(size // 32 + 1)]
    return (b"\0" + b"".join(blocks))[:size]


def address(index):
    return "0x" + hashlib.sha256(b"account %d" % index).digest()[:20].hex()


def words(*values):
    return b"".join(value.to_bytes(32, "big") for value in values)


class Chain:
    """Makes blocks of signed transactions, each committed by one call and checked by its receipts."""

    def __init__(self, rpc):
        self.rpc = rpc
        self.sender = rpc.call("eth_accounts")[0]
        self.nonce = 0
        self.number = 0
        self.addresses = {}

    def transaction(self, gas, **fields):
        transaction = {
            "from": self.sender,
            "nonce": hex(self.nonce),
            "gas": hex(gas),
            "maxFeePerGas": hex(20 * GWEI),
            "maxPriorityFeePerGas": hex(GWEI),
            **fields,
        }
        self.nonce += 1
        return transaction

    def transfers(self, indices, value):
        return [self.transaction(TRANSFER_GAS, to=address(i), value=hex(value(i))) for i in indices]

    def deploy(self, name, runtime, slots=0):
        """A deployment; the contract's address is recorded under `name` once the block is made."""
        data = "0x" + deployment(runtime, slots).hex()
        return {"name": name, **self.transaction(GAS_A_TRANSACTION, input=data)}

    def send(self, name, *values):
        data = "0x" + words(*values).hex()
        return self.transaction(GAS_A_TRANSACTION, to=self.addresses[name], input=data)

    def delegate(self, count, name):
        """EIP-7702: `count` accounts take the code of a contract by reference."""
        authorizations = [
            {
                "chainId": "0x0",
                "address": self.addresses[name],
                "nonce": "0x0",
                "yParity": "0x0",
                "r": hex(GENERATOR_X),
                "s": hex(index + 1),
            }
            for index in range(count)
        ]
        return self.transaction(
            1_000_000, to=address(0), value="0x0", authorizationList=authorizations
        )

    def commit(self, transactions=()):
        self.number += 1
        names = [transaction.pop("name", None) for transaction in transactions]
        signed = self.rpc.batch("eth_signTransaction", [[one] for one in transactions])
        attributes = {
            "timestamp": hex(GENESIS_TIME + SECONDS_A_BLOCK * self.number),
            "prevRandao": "0x" + words(self.number).hex(),
            "suggestedFeeRecipient": address(-1),
            "withdrawals": [],
            "parentBeaconBlockRoot": "0x" + words(self.number + 1000).hex(),
        }
        block = self.rpc.call(
            "testing_commitBlockV1", attributes, [one["raw"] for one in signed], None
        )
        receipts = self.rpc.call("eth_getBlockReceipts", block)
        if len(receipts) != len(signed) or any(one["status"] != "0x1" for one in receipts):
            raise Failure(f"block {self.number}: a transaction failed or was left out")
        for name, receipt in zip(names, receipts):
            if name:
                self.addresses[name] = receipt["contractAddress"]

    def build(self):
        """The blocks; gives the number of the one to sync first."""
        self.first_half()
        middle = self.number
        self.second_half()
        return middle

    def first_half(self):
        self.commit(self.transfers(range(200), lambda i: (i + 1) ** 9))
        self.commit(
            [
                self.deploy("token", TOKEN),
                self.deploy("twin_a", LEDGER, 64),
                self.deploy("twin_b", LEDGER, 64),
                self.deploy("cleared", LEDGER, 40),
                self.deploy("deep", LEDGER),
                self.deploy("one_slot", filler(40), 1),
                self.deploy("no_storage", filler(100)),
                self.deploy("large_code", filler(MAX_CODE)),
            ]
        )
        deep = [slot for pair in DEEP_SLOTS for slot in pair]
        self.commit(
            [
                self.send("token", 1, 500, 1),
                self.send("token", 501, 500, GWEI),
                self.send("token", 1001, 500, ETHER),
                self.send("deep", *interleave(deep, [1, 2, 5, 0x80, 0x7F, 0x1234])),
            ]
        )
        self.commit(
            [self.delegate(3, "token")]
            + self.transfers(range(200, 350), lambda i: i * ETHER)
            + self.transfers(range(0, 200, 5), lambda i: 1)
        )
        self.commit([self.send("token", 1, 20, 3)] + self.transfers(range(350, 360), lambda i: i))

    def second_half(self):
        self.commit(
            self.transfers(range(360, 460), lambda i: i * GWEI)
            + self.transfers(range(3, 360, 7), lambda i: ETHER)
        )
        self.commit(
            [
                self.send("token", 1, 100, 7 * ETHER),
                self.send("token", 301, 200, 0),
                self.send("token", 1501, 200, 1),
                self.send("cleared", *interleave(range(40), [0] * 40)),
                # One leaf of a pair goes and its branch with it; one leaf grows to be hashed; one
                # shrinks to be embedded.
                self.send(
                    "deep", DEEP_SLOTS[0][1], 0, DEEP_SLOTS[1][0], ETHER, DEEP_SLOTS[2][1], 9
                ),
                self.send("twin_b", 5, ETHER),
            ]
        )
        self.commit(
            [
                self.deploy("twin_c", LEDGER, 64),
                self.deploy("late", filler(3000), 25),
                self.deploy("late_token", TOKEN),
            ]
        )
        self.commit()
        self.commit(
            [self.send("late_token", 1, 50, GWEI)]
            + self.transfers(range(460, 480), lambda i: ETHER)
        )


def interleave(slots, values):
    return [word for pair in zip(slots, values) for word in pair]


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
    block = rpc.call("eth_getBlockByNumber", hex(number), False)
    accounts = accounts_at(rpc, number)
    codes = [one["codeHash"] for one in accounts if one["codeHash"] != EMPTY_CODE_HASH]
    for one in accounts:
        # geth leaves out, unsaid, slots whose plain key it does not know.
        if (one["root"] == EMPTY_ROOT) != (not one.get("storage")):
            raise Failure(f"block {number}: geth shows no storage under root {one['root']}")
    return {
        "number": number,
        "hash": block["hash"],
        "state_root": block["stateRoot"],
        "accounts": len(accounts),
        "contracts": len(codes),
        "codes": len(set(codes)),
        "slots": sum(len(one.get("storage", {})) for one in accounts),
    }


def build(rpc):
    version = rpc.wait()
    print(f"geth: building the chain on {version}", file=sys.stderr)
    started = time.monotonic()
    chain = Chain(rpc)
    middle = chain.build()
    described = {
        "version": version,
        "chain_id": int(rpc.call("eth_chainId"), 16),
        "middle": middle,
        "last": chain.number,
        "addresses": chain.addresses,
        "blocks": [describe(rpc, number) for number in range(chain.number + 1)],
    }
    took = time.monotonic() - started
    print(f"geth: {chain.number} blocks in {took:.1f} s", file=sys.stderr)
    return described


def recall(rpc, path):
    """The chain built earlier; the node must still have its last block."""
    with open(path, encoding="utf-8") as file:
        described = json.load(file)
    rpc.wait()
    last = described["blocks"][-1]
    block = rpc.call("eth_getBlockByNumber", hex(last["number"]), False)
    if block is None or block["hash"] != last["hash"]:
        raise Failure(
            f"block {last['number']} is not the one {path} tells of: remove the directory"
        )
    return described


def main():
    url, pid, path = sys.argv[1:]
    rpc = Rpc(url)
    try:
        if os.path.exists(path):
            described = recall(rpc, path)
        else:
            described = build(rpc)
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(described, file)
            os.replace(path + ".new", path)
    except (Failure, OSError, ValueError) as error:
        sys.exit(f"geth: {error}")
    print(json.dumps({"url": url, "pid": int(pid), **described}, separators=(",", ":")))


main()
