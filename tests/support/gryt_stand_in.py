"""What the tests need of gryt, for machines that cannot get the package itself.

It keeps to what was observed of gryt 1.1.8: `gryt run FILE` loads a Python file, runs the steps of
PIPELINE or build(), prints one JSON document, and ends with 0 whatever happened.
"""

import json
import runpy
import subprocess
import sys
import time


class CommandStep:
    def __init__(self, id, config=None, data=None):
        self.id = id
        self.config = config or {}

    def run(self):
        started = time.time()
        done = subprocess.run(self.config["cmd"], capture_output=True, text=True)
        return {
            "status": "success" if done.returncode == 0 else "error",
            "stdout": done.stdout,
            "stderr": done.stderr,
            "returncode": done.returncode,
            "duration": time.time() - started,
            "attempts": 1,
        }


class Runner:
    def __init__(self, steps):
        self.steps = steps

    def execute(self):
        results = {}
        for step in self.steps:
            results[step.id] = step.run()
            if results[step.id]["status"] == "error":
                break
        return results


class Pipeline:
    def __init__(self, runners):
        self.runners = runners

    def execute(self):
        return {f"runner_{i}": one.execute() for i, one in enumerate(self.runners)}


def main():
    try:
        if sys.argv[1] != "run":
            raise ValueError("only run is known here")
        names = runpy.run_path(sys.argv[2])
        pipeline = names["PIPELINE"] if "PIPELINE" in names else names["build"]()
        print(json.dumps({"status": "ok", "results": pipeline.execute()}))
    except BaseException as error:
        print(f"Error: {error}", file=sys.stderr)
    sys.exit(0)
