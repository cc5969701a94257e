"""holder: gives segel-reviewd a message as a filter does, from the protocol's description, and asks it as reviewers do; in this process.

    with holder.connection(world.hold_socket, INBOUND_UID, HOLD_GID) as sock:
        answer = holder.hold(sock, item, box)

The box is made by tests/smime/box.py, which shares no code with ours.
"""

import ctypes
import hashlib
import json
import os
import platform
import secrets
import socket
import struct
import time

from cryptography import x509

BOX = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "smime", "box.py")
TEXTS = ("login", "auth_type", "cipher", "client_subject", "client_issuer", "sender_parameters", "signature", "chain", "revocation", "registry",
         "identity", "signer_subject", "signer_issuer", "signer_serial", "signer_sha256")

LIBC = ctypes.CDLL(None, use_errno=True)
SETGROUPS, SETRESUID, SETRESGID = {"x86_64": (116, 117, 119), "aarch64": (159, 147, 149)}[platform.machine()]


def call(*words):
    """The system call itself, which is about this thread alone; the C library's functions are about the whole process."""
    if LIBC.syscall(*[ctypes.c_long(word) if isinstance(word, int) else word for word in words]) == -1:
        raise OSError(ctypes.get_errno(), "system call")


def connect(path, uid, gid, seconds=30):
    """As this user and group."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(seconds)
    groups = os.getgroups()
    call(SETGROUPS, 1, (ctypes.c_uint * 1)(gid))
    call(SETRESGID, -1, gid, -1)
    call(SETRESUID, -1, uid, -1)
    try:
        sock.connect(path)
    finally:
        call(SETRESUID, -1, 0, -1)
        call(SETRESGID, -1, 0, -1)
        call(SETGROUPS, len(groups), (ctypes.c_uint * max(1, len(groups)))(*groups))
    return sock


def frame(kind, body=b""):
    return struct.pack(">cI", kind, len(body)) + body


def send_json(sock, fields):
    sock.sendall(frame(b"J", json.dumps(fields).encode()))


def exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def take(sock):
    kind, length = struct.unpack(">cI", exactly(sock, 5))
    return kind, exactly(sock, length)


def take_json(sock):
    kind, body = take(sock)
    if kind != b"J":
        raise ConnectionError(f"frame of kind {kind}")
    return json.loads(body)


def box_maker():
    """box.py is a program: all of it but its last line."""
    with open(BOX, encoding="utf-8") as source:
        text = source.read()
    names = {}
    exec(compile(text.rpartition("\nmain(")[0], BOX, "exec"), names)
    return names["made"]


made = box_maker()


def box(message, cert, item_id, chunk=65536):
    with open(cert, "rb") as pem:
        public = x509.load_pem_x509_certificate(pem.read()).public_key()
    return made(message, public, item_id.encode(), chunk)


def item(message, sender, recipients, findings, action="hold", **more):
    """What a filter knows, as item_json.h has it. `findings`: words; the first decided. `recipients`: address or (address, parameters)."""
    pairs = [(one, "") if isinstance(one, str) else one for one in recipients]
    seed = message + b"\0" + sender.encode() + b"\0" + repr(pairs).encode()
    ret = {"id": secrets.token_hex(16), "fingerprint": hashlib.sha256(seed).hexdigest(), "arrived": int(time.time()), "role": "inbound",
           "class": "inbound-official", "action": action, "reason": findings[0], "queue_id": "4XyZ1", "session": "s" + secrets.token_hex(6),
           "tls": True, "tls_version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "client": "192.0.2.7", "client_cert": "none", "without_smtp": False,
           "authserv_id": "mail.kota.example", "sender": sender, "size": len(message), "sha256": hashlib.sha256(message).hexdigest(), "unparsed": False, "from": sender,
           "subject": "Surat rahasia", "message_id": "<1@mitra.example>", "findings_overflow": False,
           "findings": [{"reason": word, "evidence": "test=yes"} for word in findings],
           "recipients": [{"address": address, "parameters": parameters} for address, parameters in pairs]}
    ret = {**{name: "" for name in TEXTS}, **ret, **more}
    return ret


def hold(sock, fields, body, piece=65536):
    """The whole talk; the answer's fields."""
    try:
        send_json(sock, {"op": "hold", "version": 1, "item": fields})
        for at in range(0, len(body), piece):
            sock.sendall(frame(b"D", body[at:at + piece]))
        sock.sendall(frame(b"E"))
    except BrokenPipeError:
        pass  # it was refused before all of it had come: the reason is there to be read
    return take_json(sock)


def ask(sock, **request):
    """(fields, rows, data)"""
    rows, data = [], b""
    send_json(sock, request)
    while True:
        kind, body = take(sock)
        if kind == b"D":
            data += body
        elif kind == b"J":
            fields = json.loads(body)
            if "ok" in fields:
                return fields, rows, data
            rows.append(fields["row"])
