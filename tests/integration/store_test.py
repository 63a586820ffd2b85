"""What outlives the daemon: kill -9, a full disk, a flipped bit, a cut file."""
import asyncio
import os
import pathlib
import resource
import sqlite3
import sys
import time
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import *  # noqa: E402,F403

SCHEMA_ROWS = "INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?)"


def planted(kind, number, auth=2):
    """A row as the daemon writes it; what auth and detail mean is no matter here."""
    xmpp, sip = f"user{number:07}@xmpp.example", "romeo@sip.example"
    text = f"{kind}\n{xmpp}\n{sip}\n{auth}\n1790000000\n".encode()
    return kind, xmpp, sip, auth, 1790000000, b"", zlib.crc32(text)


class StoreTest(unittest.IsolatedAsyncioTestCase):
    pass


if __name__ == "__main__":
    unittest.main()
