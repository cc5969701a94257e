"""chain: reads audit files with nothing of ours between them and the test: only hashlib.

A record is one line, "SEQ TIME EVENT key=value ... prev=HEX hash=HEX"; hash is SHA-256 over the line
up to " hash=", prev the hash of the record before. What a crash left behind is accounted for by the
resume record that follows it.
"""

import glob
import hashlib
import os
import re
from urllib.parse import unquote

RECORD = re.compile(rb"(\d+) (\S+) (\S+)((?: [a-z0-9-]+=[^ \n]*)*) prev=([0-9a-f]{64}) hash=([0-9a-f]{64})")


class Record:
    def __init__(self, file, seq, time, event, values):
        self.file = file
        self.seq = seq
        self.time = time
        self.event = event
        self.values = values

    def __getitem__(self, key):
        return self.values.get(key, "")


def values_of(text):
    pairs = (word.partition("=") for word in text.decode("ascii").split())
    return {key: unquote(value, encoding="utf-8", errors="surrogateescape") for key, _, value in pairs}


def read(path):
    """The records of one file; AssertionError names the first line that does not fit."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    assert lines.pop() == b"", f"{path}: its last line has no end"
    records, torn, prev, seq = [], [], b"0" * 64, 0
    for number, line in enumerate(lines, 1):
        match = RECORD.fullmatch(line)
        if not match:
            torn.append(line)
            continue
        record = Record(path, int(match[1]), match[2].decode(), match[3].decode(), values_of(match[4]))
        body = line[:line.rindex(b" hash=")]
        assert hashlib.sha256(body).hexdigest().encode() == match[6], f"{path}:{number}: hash does not hold"
        assert (match[5], record.seq) == (prev, seq + 1), f"{path}:{number}: does not follow the record before"
        assert not torn or accounts_for(record, b"\n".join(torn)), f"{path}:{number}: torn bytes before it, no resume"
        records.append(record)
        torn, prev, seq = [], match[6], record.seq
    assert not torn, f"{path}: torn bytes at its end"
    return records


def accounts_for(record, torn):
    return (record.event == "resume" and record["torn"] == str(len(torn))
            and record["torn-sha256"] == hashlib.sha256(torn).hexdigest())


def read_folder(folder):
    return [record for path in sorted(glob.glob(os.path.join(folder, "*.audit"))) for record in read(path)]
