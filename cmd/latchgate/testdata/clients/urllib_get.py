"""Get a URL with Python's own urllib; what it sends is told on standard error."""
import contextlib
import ssl
import sys
import urllib.request

with contextlib.redirect_stdout(sys.stderr):
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(debuglevel=1, context=ssl.create_default_context()))
    with opener.open(sys.argv[1], timeout=20) as answer:
        text = f"{answer.headers}{answer.read().decode()}"
print(text)
