"""A TCP proxy on a free port whose connections can be cut."""
import asyncio
import threading

PIECE = 1 << 16


class Proxy:
    """Forwards to `target`, HOST:PORT, on a thread of its own."""

    def __init__(self, target):
        self.host, port = target.rsplit(":", 1)
        self.port = int(port)
        self.writers = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.started = threading.Event()
        self.thread.start()
        self.started.wait()

    def _serve(self):
        asyncio.set_event_loop(self.loop)
        self.open = asyncio.Event()
        self.open.set()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0))
        port = self.server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.started.set()
        self.loop.run_forever()

    async def _accept(self, reader, writer):
        self.writers.add(writer)
        try:
            await self.open.wait()
            to, out = await asyncio.open_connection(self.host, self.port)
            self.writers.add(out)
            await asyncio.gather(self._pump(reader, out),
                                 self._pump(to, writer))
        except OSError:
            pass
        finally:
            for end in (writer, locals().get("out")):
                if end is not None:
                    self.writers.discard(end)
                    end.transport.abort()

    async def _pump(self, reader, writer):
        while data := await reader.read(PIECE):
            await self.open.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # ends the other direction as well

    def _call(self, function):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(), done.set()))
        done.wait()

    def hold(self):
        """Nothing arrives any more, on old connections or new ones; none is
        closed."""
        self._call(self.open.clear)

    def release(self):
        """What was held arrives, late."""
        self._call(self.open.set)

    def reset(self):
        """Breaks all connections; new ones are taken."""
        self._call(lambda: [w.transport.abort() for w in list(self.writers)])

    def close(self):
        self.reset()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
