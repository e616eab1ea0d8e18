"""JSON-RPC to the geth that scripts/geth started."""

import json
import time
import urllib.request

REQUEST_SECONDS = 60
# The node listens before its services answer.
READY_SECONDS = 30
# Half of geth's own limit of 1000 calls a batch.
BATCH = 500


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

    def batch(self, method, params_list, size=BATCH):
        """Calls one method once for each entry of params_list; gives the results in that order."""
        results = []
        for first in range(0, len(params_list), size):
            chunk = params_list[first : first + size]
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
        """Asks until the node answers; gives the namespaces it serves."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                return self.call("rpc_modules")
            except (OSError, ValueError) as error:
                if time.monotonic() > deadline:
                    raise Failure(f"no answer from {self.url}: {error}") from error
                time.sleep(0.1)
