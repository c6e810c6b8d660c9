"""A TCP proxy whose connections can be reset and stalled: the cut cable between a trainer or replica and a server."""

import os
import socket
import struct
import threading

CHUNK = 1 << 16


class Proxy:
    """Forwards connections to one port of this machine. Bytes never pass through Python."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.lock = threading.Lock()
        self.pairs = set()
        self.flowing = threading.Event()
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
                server.settimeout(None)
            except OSError:
                self.reset(client)
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self.lock:
                self.pairs.add(pair)
            threading.Thread(target=self.serve, args=(pair,), daemon=True).start()

    def serve(self, pair):
        """One direction here, the other on a thread of its own; the pair ends when either does."""
        client, server = pair
        back = threading.Thread(target=self.pump, args=(server, client), daemon=True)
        back.start()
        self.pump(client, server)
        back.join()
        with self.lock:
            self.pairs.discard(pair)
        for end in pair:
            end.close()

    def pump(self, source, target):
        inlet, outlet = None, None
        try:
            outlet, inlet = os.pipe()
            while True:
                count = os.splice(source.fileno(), inlet, CHUNK)
                if count == 0:
                    break
                self.flowing.wait()
                while count:
                    count -= os.splice(outlet, target.fileno(), count)
        except OSError:
            pass  # A reset by either side; the other is told below.
        finally:
            for end in (inlet, outlet):
                if end is not None:
                    os.close(end)
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # Closed already.

    @staticmethod
    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def cut(self):
        """Ends every connection, with what is on its way lost. Returns how many there were."""
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            for end in pair:
                try:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # Ended by itself.
        return len(pairs)

    def stall(self):
        """Nothing passes until `flow`; connections stay open."""
        self.flowing.clear()

    def flow(self):
        self.flowing.set()
