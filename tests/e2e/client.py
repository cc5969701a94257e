"""client: an SMTP client that keeps every reply, as a mail program or a test sees it."""

import smtplib
import socket
import ssl


class Reply:
    """One reply of the server."""

    def __init__(self, command, code, text):
        self.command = command
        self.code = code
        self.text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text

    @property
    def good(self):
        return 200 <= self.code < 400

    def says(self, *words):
        """True where code and text hold all of the words ("550", "5.7.1", ...)."""
        return all(word in str(self) for word in words)

    def __str__(self):
        return f"{self.code} " + " ".join(self.text.split("\n"))


class Outcome:
    """The replies to one message, in order; last decides."""

    def __init__(self, replies):
        self.replies = replies

    @property
    def last(self):
        return self.replies[-1]

    @property
    def accepted(self):
        return self.last.command == "." and self.last.good

    def __str__(self):
        return "\n".join(f"{reply.command}: {reply}" for reply in self.replies)


class Session:
    """One connection. Use as a context manager; leaving it closes without QUIT if need be."""

    def __init__(self, port, tls=True, login=None, password=None, timeout=60, context=None, source=None):
        """`context`: of ssl, instead of one that takes any server and what it prefers. `source`: the address to come from."""
        self.context = context or any_server()
        self.smtp = smtplib.SMTP("127.0.0.1", port, local_hostname="client.kota.example", timeout=timeout,
                                 source_address=(source, 0) if source else None)
        self.replies = []
        self.note("EHLO", self.smtp.ehlo())
        if tls:
            self.start_tls()
        if login is not None and self.good:
            self.log_in(login, password)

    def __enter__(self):
        return self

    def __exit__(self, *_failure):
        self.smtp.close()

    @property
    def good(self):
        """Nothing has been refused so far."""
        return all(reply.good for reply in self.replies)

    def note(self, command, answer):
        reply = Reply(command, *answer)
        self.replies.append(reply)
        return reply

    def start_tls(self):
        try:
            self.note("STARTTLS", self.smtp.starttls(context=self.context))
            self.note("EHLO", self.smtp.ehlo())
        except smtplib.SMTPResponseException as refused:
            self.note("STARTTLS", (refused.smtp_code, refused.smtp_error))

    def log_in(self, login, password):
        self.smtp.user, self.smtp.password = login, password
        try:
            return self.note("AUTH", self.smtp.auth("PLAIN", self.smtp.auth_plain))
        except smtplib.SMTPAuthenticationError as refused:
            return self.note("AUTH", (refused.smtp_code, refused.smtp_error))

    def mail(self, sender, options=("BODY=8BITMIME",)):
        return self.note("MAIL", self.smtp.mail(sender, list(options)))

    def rcpt(self, address):
        return self.note("RCPT", self.smtp.rcpt(address))

    def data(self, message):
        """DATA and the message; the reply is that to the final dot (or to DATA itself)."""
        try:
            return self.note(".", self.smtp.data(with_crlf(message)))
        except smtplib.SMTPDataError as refused:
            return self.note("DATA", (refused.smtp_code, refused.smtp_error))
        except smtplib.SMTPServerDisconnected as lost:
            return self.note(".", (421, f"connection lost: {lost}"))

    def send(self, sender, recipients, message):
        """One transaction; ends with the first refusal."""
        first = len(self.replies)
        if self.mail(sender).good and all(self.rcpt(address).good for address in recipients):
            self.data(message)
        return Outcome(self.replies[first:])

    def reset(self):
        return self.note("RSET", self.smtp.rset())

    def begin_data(self, beginning):
        """DATA and some bytes, without an end (a line of one dot is no end)."""
        self.smtp.putcmd("data")
        self.note("DATA", self.smtp.getreply())
        self.smtp.sock.sendall(beginning.replace(b"\r\n.", b"\r\n.."))

    def vanish(self):
        """Cuts the connection as a crashed mail program does."""
        self.smtp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.smtp.close()

    def quit(self):
        return self.note("QUIT", self.smtp.quit())


def any_server(version=None, ciphers=None):
    """The certificate of a world is its own; who the server is, is not what is tested. `version`: that one only."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ciphers:
        context.set_ciphers(ciphers)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def with_crlf(message):
    """The message with CRLF at every line end, and at its own."""
    text = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return text if text.endswith(b"\r\n") else text + b"\r\n"
