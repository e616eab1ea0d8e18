"""The blocks of the test chain.

They are committed with fixed times, senders and transactions, so the chain comes out the same, hash
for hash, every time it is built by one version of geth, whatever the scheme of its state.
"""

import hashlib

from geth_rpc import Failure

# Blocks of a request: with the largest transactions of `growth` they stay far below geth's 5 MiB.
COMMITS = 25

GENESIS_TIME = 1_750_000_000
SECONDS_A_BLOCK = 12
# EIP-7825: no transaction may ask for more.
GAS_A_TRANSACTION = 1 << 24
TRANSFER_GAS = 21_000
GWEI = 10**9
ETHER = 10**18
# EIP-170, which the largest contract fills to the byte.
MAX_CODE = 24_576
# An x coordinate on the curve, hence a signature that recovers to an account nobody has the key of.
GENERATOR_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798

# The number of the first account of `growth`, above all those of `build`.
FIRST_GROWN = 10_000

# Pairs of slots whose keccak hashes share their first 11 nibbles. A leaf below so long a path is
# under 32 bytes for a value up to 0x7f, and so embedded in its parent, and 32 bytes or more above.
DEEP_SLOTS = [(0x6C1400, 0x9BDD27), (0x66145D, 0xED0BEA), (0x182BA1, 0xC1DB23)]


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

    def __init__(self, rpc, addresses=None):
        self.rpc = rpc
        self.sender = rpc.call("eth_accounts")[0]
        self.nonce = int(rpc.call("eth_getTransactionCount", self.sender, "latest"), 16)
        self.number = int(rpc.call("eth_blockNumber"), 16)
        self.addresses = dict(addresses or {})

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
        self.commit_all([transactions])

    def commit_all(self, blocks):
        """One block for each list of transactions, in a few requests for all of them."""
        names = [[one.pop("name", None) for one in transactions] for transactions in blocks]
        signed = iter(
            self.rpc.batch(
                "eth_signTransaction", [[one] for transactions in blocks for one in transactions]
            )
        )
        calls = []
        for transactions in blocks:
            self.number += 1
            attributes = {
                "timestamp": hex(GENESIS_TIME + SECONDS_A_BLOCK * self.number),
                "prevRandao": "0x" + words(self.number).hex(),
                "suggestedFeeRecipient": address(-1),
                "withdrawals": [],
                "parentBeaconBlockRoot": "0x" + words(self.number + 1000).hex(),
            }
            calls.append([attributes, [next(signed)["raw"] for _ in transactions], None])
        hashes = self.rpc.batch("testing_commitBlockV1", calls, COMMITS)
        receipts = self.rpc.batch("eth_getBlockReceipts", [[one] for one in hashes], COMMITS)
        for block, names_of_block, of_block in zip(hashes, names, receipts):
            statuses = [one["status"] for one in of_block]
            if statuses != ["0x1"] * len(names_of_block):
                raise Failure(f"block {block}: a transaction failed or was left out")
            for name, receipt in zip(names_of_block, of_block):
                if name:
                    self.addresses[name] = receipt["contractAddress"]

    def grow(self, count, size):
        """`count` blocks more; what is in them depends on their numbers and `size` alone."""
        self.commit_all([self.growth(self.number + 1 + index, size) for index in range(count)])

    def growth(self, number, size):
        """Slots and accounts that are changed, added and removed, `size` of them as the measure."""
        newest = FIRST_GROWN + 20 * number
        step = 600 // size
        block = [
            self.send("token", 1 + 37 * number % 900, 3 * size, number),
            self.send("token", 2_000 + 50 * number, size, GWEI),
            # What came four blocks ago.
            self.send("token", 2_000 + 50 * (number - 4), size, 0),
            # A whole storage trie that comes in odd blocks and goes in even ones.
            self.send("cleared", *interleave(range(size), [number % 2 * number] * size)),
        ]
        block += self.transfers(range(number % step, 480, step), lambda i: 1)
        block += self.transfers(range(newest, newest + size * 2 // 5), lambda i: ETHER)
        if number % 4 == 0:
            block.append(self.deploy(None, filler(1_000 + number % 20_000), size))
        return block

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
