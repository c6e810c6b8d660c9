"""A program on a terminal: what it writes, what can be seen of it, and keys."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading

CONTROL = re.compile(r"\x1b\[(\??)(\d*)([A-Za-z])")


class Screen:
    """What a terminal shows: as much of one as a table that is drawn in place needs."""

    def __init__(self):
        self.lines = [""]
        self.row = self.column = 0
        self.shows_cursor = True
        self.colors = 0

    def write(self, text):
        position = 0
        while position < len(text):
            match = CONTROL.match(text, position)
            if match:
                self.control(*match.groups())
                position = match.end()
                continue
            self.put(text[position])
            position += 1

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
            self.column = 0
            if self.row == len(self.lines):
                self.lines.append("")
        else:
            assert character >= " ", f"a control character {character!r}"
            line = self.lines[self.row]
            self.lines[self.row] = line[:self.column].ljust(self.column) + character + line[self.column + 1:]
            self.column += 1

    def control(self, private, number, letter):
        if private:
            assert number == "25" and letter in "lh"
            self.shows_cursor = letter == "h"
        elif letter == "A":
            self.row -= int(number)
            assert self.row >= 0, "above the first line"
        elif letter == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif letter == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        elif letter == "m":
            self.colors += 1
        else:
            raise AssertionError(f"an escape sequence with {letter}")


class TerminalProgram:
    """A program with a terminal of so many columns and rows as its input, output and errors."""

    def __init__(self, arguments, environment, columns=160, rows=40):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # The child: it has the terminal, and it alone.
            try:
                fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execvpe(arguments[0], list(map(str, arguments)), environment)
            finally:
                os._exit(127)
        self.raw = ""
        self.exit_status = None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        data = b""
        while True:
            try:
                more = os.read(self.terminal, 65_536)
            except OSError:
                more = b""
            if not more:
                return
            data += more
            # A character may come in two parts.
            self.raw = data.decode(errors="ignore")

    @property
    def screen(self):
        screen = Screen()
        text = self.raw
        # A sequence that has not arrived in full.
        cut = text.rfind("\x1b")
        screen.write(text if cut < 0 or CONTROL.match(text, cut) else text[:cut])
        return screen

    def press(self, keys):
        os.write(self.terminal, keys)

    def has_ended(self):
        if self.exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_status = os.waitstatus_to_exitcode(status)
                self.reader.join(5)
        return self.exit_status is not None

    def kill(self):
        if not self.has_ended():
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.terminal)
