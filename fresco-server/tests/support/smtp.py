"""A mail server on loopback that keeps what it gets. Says its port, and ends with its input.

usage: smtp.py FOLDER none|starttls|tls [CERTIFICATE KEY [NAME PASSWORD]]
While there is a file FOLDER/refuse, letters are refused with what stands in it and the letter itself.
"""
import asyncio
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder, mode, *rest = sys.argv[1:]
context, login = None, None
if rest:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(rest[0], rest[1])
    login = tuple(word.encode() for word in rest[2:4]) or None


class Keep:
    count = 0

    async def handle_DATA(self, server, session, envelope):
        refusal = os.path.join(folder, "refuse")
        if os.path.exists(refusal):
            with open(refusal) as file:
                quoted = envelope.content.decode(errors="replace").replace("\r\n", " ")
                return f"{file.read().strip()} {quoted}"[:400]
        Keep.count += 1
        new = os.path.join(folder, f"{Keep.count:04}")
        with open(new, "wb") as file:
            file.write(envelope.content)
        os.rename(new, new + ".eml")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == login, handled=False)


def connection():
    options = {}
    if mode == "starttls":
        options = {"tls_context": context, "require_starttls": True}
    if login:
        options |= {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": mode == "starttls",
        }
    return SMTP(Keep(), loop=loop, hostname="localhost", enable_SMTPUTF8=True, **options)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
wrapped = context if mode == "tls" else None
server = loop.run_until_complete(loop.create_server(connection, "127.0.0.1", 0, ssl=wrapped))
print(server.sockets[0].getsockname()[1], flush=True)
loop.add_reader(0, lambda: os.read(0, 1) or loop.stop())
loop.run_forever()
