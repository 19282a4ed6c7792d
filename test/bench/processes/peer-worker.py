"""The way that log archives are usually written: one log at a time, whole in memory, with requests and gzip.

peer-worker.py GITHUB_ORIGIN STORE_ORIGIN FIRST_ID COUNT: prints the seconds that the jobs took, as JSON.
"""

import gzip
import json
import sys
import time

import requests

github, store, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
session = requests.Session()
api = f"{github}/api/v3/repos/octo-org/octo-repo/actions/jobs"
session.get(f"{github}/api/v3/versions")
start = time.monotonic()
for job in range(first, first + count):
    log = session.get(f"{api}/{job}/logs", headers={"authorization": "Bearer a-token"}).content
    session.put(f"{store}/archive/{job}.log.gz", data=gzip.compress(log, 6))
print(json.dumps({"seconds": time.monotonic() - start}))
