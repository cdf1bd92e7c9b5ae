"""The parser of every command line: what is wrong with one is a line."""

import argparse
from typing import Final, NoReturn

LONGEST: Final = 300
"""The most characters of such a line: it repeats an argument, which may be of any length."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """End the program with the line, and status 2."""
        line = " ".join(message.split())
        self.exit(2, f"error: {line if len(line) <= LONGEST else f'{line[:LONGEST]}…'}\n")
