#!/usr/bin/env python3
"""Checks a proof that `overlap log prove --entry` wrote: that the tree with the checkpoint's root has the leaf of each event.

Written from RFC 6962 section 2.1.1 and RFC 9162 section 2.1.3.2 with the standard library alone. It does not check the checkpoint's Ed25519
signature, nor that the leaf belongs to the event, which takes AES-GCM; `overlap log check` does both.
"""

import base64
import hashlib
import json
import sys


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf, index, size, path):
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    at, last, root = index, size - 1, leaf
    for hash in path:
        if last == 0:
            raise ValueError("the path is too long")
        if at & 1 or at == last:
            root = node(hash, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node(root, hash)
        at, last = at >> 1, last >> 1
    if last:
        raise ValueError("the path is too short")
    return root


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        proof = json.load(file).get("entry")
    if proof is None:
        sys.exit("not a proof of `overlap log prove --entry` or `--index`: of growth this script knows nothing")
    origin, size, root = proof["checkpoint"].split("\n")[:3]
    if not proof["events"]:
        sys.exit("the proof shows nothing")
    for event in proof["events"]:
        path = [bytes.fromhex(hash) for hash in event["path"]]
        if root_of(bytes.fromhex(event["leaf"]), event["index"], int(size), path) != base64.b64decode(root):
            sys.exit(f"event {event['index']} is NOT in the log {origin}")
        print(f"event {event['index']} is in the log {origin} of {size} events")


if __name__ == "__main__":
    main()
