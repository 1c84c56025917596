"""A small mail server on the loopback that keeps what it is sent, or refuses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default


@dataclass
class MailServer:
    """Where it listens, what it got, and whether it takes any more."""

    port: int = 0
    refusing: bool = False
    mails: list[EmailMessage] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak as much SMTP as a client needs to leave a mail."""

        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        say("220 here")
        while line := await reader.readline():
            match line.split(maxsplit=1)[0].upper():
                case b"MAIL" if self.refusing:
                    say("451 not now")
                case b"DATA":
                    say("354 go on")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    mail = message_from_bytes(content[:-3], policy=default)
                    self.mails.append(mail)
                    say("250 kept")
                case b"QUIT":
                    say("221 gone")
                    break
                case _:
                    say("250 yes")
        writer.close()


@asynccontextmanager
async def running_mail_server() -> AsyncIterator[MailServer]:
    """Run a server for as long as the context lasts."""
    server = MailServer()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
