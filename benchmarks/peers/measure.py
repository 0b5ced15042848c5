"""Run a command, then print one JSON line: its wall seconds and the peak memory of its largest process."""

import json
import resource
import subprocess
import sys
import time

if __name__ == "__main__":
    start = time.perf_counter()
    code = subprocess.call(sys.argv[1:])
    total_s = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(json.dumps({"total_s": total_s, "peak_mb": peak / unit}))
    sys.exit(code)
