"""keyd_ask SOCKET SPKI-HEX: asks the key agent for one signature, and prints the answer's status.

Run under different user ids, it shows whom the agent serves. Independent of our C client, after
milter/keyd/wire.h.
"""

import hashlib
import socket
import struct
import sys

STATUS = {1: "ok", 2: "unknown-key", 3: "denied", 4: "limit", 5: "audit-unavailable", 6: "bad-request", 7: "internal"}
OP_SIGN = 2
SHA256 = 1


def field(content):
    return struct.pack(">H", len(content)) + content


def sign_request(spki):
    digest = hashlib.sha256(b"not a message").digest()
    texts = [b"nobody", b"nobody@kota.example", b"QID", b"session"]
    frame = struct.pack(">BBIB", 1, OP_SIGN, 7, SHA256) + field(spki) + field(digest) + b"".join(map(field, texts))
    return struct.pack(">I", len(frame)) + frame


def main(path, spki):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        try:
            sock.connect(path)
            sock.sendall(sign_request(bytes.fromhex(spki)))
            answer = sock.recv(4096)
        except OSError as failure:
            return f"no connection: {failure.strerror or failure}"
    # length 4, version 1, op 1, number 4, status 1, payload 2 + n
    if len(answer) < 11:
        return "closed without an answer"
    payload = answer[13:]
    return f"{STATUS.get(answer[10], 'unknown')} {len(payload)}"


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))
