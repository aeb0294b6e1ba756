#!/usr/bin/env python3
"""Stands between one system and the gateway and writes down every message of their sessions, one JSON object a line.

To the system it is the gateway, with an authority of its own; to the gateway it is the system. Nothing is changed on the way: after the handshakes
bytes are passed on as they come, and the text messages in them are read along (RFC 6455, uncompressed, as docs/protocol.md promises).

    record_session.py --subscription DIR --port N --work DIR --output FILE

DIR holds what the Secret of the customer holds: gateway, ca.crt, customerId, enrolmentCode. In --work a folder `subscription` is made for the system.
"""
import argparse
import asyncio
import json
import pathlib
import ssl
import struct
import subprocess
import urllib.parse

END_OF_HEAD = b"\r\n\r\n"
TEXT, CONTINUATION = 1, 0


def openssl(*arguments, text=None):
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"openssl {arguments[0]} failed: {done.stderr}")
    return done.stdout


class Messages:
    """Text messages in a stream of websocket frames."""

    def __init__(self):
        self.bytes, self.parts = b"", []

    def feed(self, data):
        self.bytes += data
        while True:
            frame = self.next_frame()
            if frame is None:
                return
            final, kind, payload = frame
            if kind not in (TEXT, CONTINUATION):
                continue
            self.parts.append(payload)
            if final:
                whole, self.parts = b"".join(self.parts), []
                yield json.loads(whole)

    def next_frame(self):
        data = self.bytes
        if len(data) < 2:
            return None
        length, at = data[1] & 127, 2
        for code, form in ((126, ">H"), (127, ">Q")):
            if length == code:
                if len(data) < at + struct.calcsize(form):
                    return None
                length = struct.unpack_from(form, data, at)[0]
                at += struct.calcsize(form)
                break
        mask = b""
        if data[1] & 128:
            mask, at = data[at:at + 4], at + 4
        if len(data) < at + length:
            return None
        payload = data[at:at + length]
        if mask:
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.bytes = data[at + length:]
        return bool(data[0] & 128), data[0] & 15, payload


class Recorder:
    def __init__(self, arguments):
        self.work = pathlib.Path(arguments.work)
        self.port = arguments.port
        self.given = pathlib.Path(arguments.subscription)
        self.output = open(arguments.output, "w", encoding="utf-8")
        gateway = urllib.parse.urlsplit((self.given / "gateway").read_text().strip())
        self.gateway = (gateway.hostname, gateway.port)
        self.enrolled = None
        self.make_authority()
        self.make_subscription()

    def file(self, name):
        return str(self.work / name)

    def make_authority(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", self.file("ca.key"), "-out", self.file("ca.crt"), "-days", "3650", "-subj", "/CN=recorder",
                "-addext", "keyUsage=critical,keyCertSign,digitalSignature")
        openssl("req", *key, "-keyout", self.file("server.key"), "-out", self.file("server.csr"), "-subj", "/CN=gateway")
        extensions = self.work / "server.extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1\n")
        # With an extension, so that the certificate is one of version 3.
        (self.work / "system.extensions").write_text("extendedKeyUsage=clientAuth\n")
        openssl("x509", "-req", "-in", self.file("server.csr"), "-CA", self.file("ca.crt"), "-CAkey", self.file("ca.key"), "-days", "365",
                "-extfile", str(extensions), "-out", self.file("server.crt"))
        openssl("req", *key, "-keyout", self.file("system.key"), "-out", self.file("system.csr"), "-subj", "/CN=system")

    def make_subscription(self):
        folder = self.work / "subscription"
        folder.mkdir()
        for name in ("customerId", "enrolmentCode"):
            (folder / name).write_bytes((self.given / name).read_bytes())
        (folder / "ca.crt").write_bytes((self.work / "ca.crt").read_bytes())
        (folder / "gateway").write_text(f"https://127.0.0.1:{self.port}")

    def write(self, line):
        self.output.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        self.output.flush()

    async def dial(self):
        context = ssl.create_default_context(cafile=str(self.given / "ca.crt"))
        context.check_hostname = False
        if self.enrolled:
            context.load_cert_chain(self.file("system.crt"), self.file("system.key"))
        return await asyncio.open_connection(*self.gateway, ssl=context)

    async def serve(self, reader, writer):
        try:
            head = await reader.readuntil(END_OF_HEAD)
            if head.startswith(b"POST "):
                await self.enrol(head, reader, writer)
            else:
                await self.session(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def enrol(self, head, reader, writer):
        """The system gets a certificate of ours, we one of the gateway."""
        length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length:"))
        asked = json.loads(await reader.readexactly(length))
        (self.work / "asked.csr").write_text(asked["certificateRequest"])
        body = json.dumps({**asked, "certificateRequest": (self.work / "system.csr").read_text()}).encode()
        gateway_reader, gateway_writer = await self.dial()
        path = head.split(b" ")[1].decode()
        request = f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n\r\n"
        gateway_writer.write(request.encode() + body)
        answer_head = await gateway_reader.readuntil(END_OF_HEAD)
        answer = json.loads(await gateway_reader.read())
        if "certificate" in answer:
            (self.work / "system.crt").write_text(answer["certificate"])
            self.enrolled = True
            openssl("x509", "-req", "-in", self.file("asked.csr"), "-CA", self.file("ca.crt"), "-CAkey", self.file("ca.key"), "-days", "365",
                    "-extfile", self.file("system.extensions"), "-out", self.file("asked.crt"))
            answer["certificate"] = (self.work / "asked.crt").read_text()
            answer["authority"] = (self.work / "ca.crt").read_text()
        body = json.dumps(answer).encode()
        status = answer_head.split(b"\r\n")[0].decode()
        writer.write(f"{status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    async def session(self, head, reader, writer):
        gateway_reader, gateway_writer = await self.dial()
        gateway_writer.write(head)
        answer = await gateway_reader.readuntil(END_OF_HEAD)
        writer.write(answer)
        if b" 101 " in answer.split(b"\r\n")[0]:
            self.write({"connected": True})
        await asyncio.gather(self.relay("system", reader, gateway_writer), self.relay("gateway", gateway_reader, writer))

    async def relay(self, side, reader, writer):
        messages = Messages()
        try:
            while data := await reader.read(65536):
                for message in messages.feed(data):
                    self.write({side: message})
                writer.write(data)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def run(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.file("ca.crt"))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(self.file("server.crt"), self.file("server.key"))
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=context)
        async with server:
            await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description="records the sessions of one system")
    for name in ("subscription", "work", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(Recorder(parser.parse_args()).run())


if __name__ == "__main__":
    main()
