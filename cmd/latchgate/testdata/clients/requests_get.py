"""Get a URL with requests; what it sends is told on standard error."""
import contextlib
import http.client
import sys

import requests

http.client.HTTPConnection.debuglevel = 1
with contextlib.redirect_stdout(sys.stderr):
    answer = requests.get(sys.argv[1], timeout=20)
    answer.raise_for_status()
print(dict(answer.headers), answer.text)
