#!/usr/bin/env python3
"""Verifies the journal of a run, as docs/format/journal.md describes it: verify_journal.py JOURNAL"""

import hashlib
import json
import sys

prev = None
number = 0
with open(sys.argv[1], "rb") as journal:
    for line in journal:
        number += 1
        try:
            record = json.loads(line)
            first = b"soter journal 1\n" + record["body"].get("run", "").encode()
            prev = prev or hashlib.sha256(first).hexdigest()
            digest = hashlib.sha256(line[:-76]).hexdigest()
            end = b',"hash":"' + digest.encode() + b'"}\n'
            good = line.endswith(end) and (record["n"], record["prev"]) == (number, prev)
        except (ValueError, KeyError, AttributeError, TypeError):
            good = False
        if not good:
            sys.exit(print(f"record {number} is damaged") or 1)
        prev = digest
print(f"{number} records")
