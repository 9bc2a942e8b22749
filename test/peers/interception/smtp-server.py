"""An SMTP server of aiosmtpd on both families: answers DATA with the digest of what came.

Arguments: port, certificate, key (for STARTTLS).
"""

import asyncio
import hashlib
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Digest:
    async def handle_DATA(self, server, session, envelope):
        digest = hashlib.sha256(envelope.original_content).hexdigest()
        return f"250 {len(envelope.original_content)} bytes, {digest}"


async def main(port, certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def session():
        return SMTP(Digest(), hostname="mail", ident="here", tls_context=context)

    server = await asyncio.get_running_loop().create_server(session, None, int(port))
    print("open", flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
