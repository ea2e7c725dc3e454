"""The Autobahn fuzzing client against an echo server, straight and through the gateway: the verdicts of all cases."""

import json
import subprocess
import sys
from pathlib import Path

from ground import Ground, compare

# Sections 1 to 10; 12 and 13 are about compression, which is between the two ends.
CASES = {"cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}}
COUNT = 301


def main():
    enter = sys.argv[1:]
    with Ground() as ground:
        echo = ground.python("websocket_echo.py")
        gateway = ground.gateway(f"""
[[route]]
pool = ["http://127.0.0.1:{echo.port}"]
""")
        columns = {
            "ws": verdicts(ground, enter, "ws", f"ws://127.0.0.1:{echo.port}"),
            "wss": verdicts(ground, enter, "wss", f"wss://127.0.0.1:{gateway.port}"),
        }
        compare(columns)


def verdicts(ground, enter, name, url):
    """What the client says about each case. `enter` runs a command where it is installed, with the folder as /run/peers."""
    spec = {"outdir": f"/run/peers/{name}", "servers": [{"agent": name, "url": url}], **CASES}
    (ground.folder / f"{name}.json").write_text(json.dumps(spec))
    command = [*enter, ground.folder, "wstest", "--mode", "fuzzingclient", "--spec", f"/run/peers/{name}.json"]
    run = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    index = Path(ground.folder, name, "index.json")
    if run.returncode != 0 or not index.exists():
        raise SystemExit(f"the fuzzing client failed\n{run.stdout[-4000:]}")
    cases = json.loads(index.read_text())[name]
    if len(cases) != COUNT:
        raise SystemExit(f"{name}: {len(cases)} cases, not {COUNT}")
    results = {case: f"{said['behavior']}, closing {said['behaviorClose']}, code {said['remoteCloseCode']}" for case, said in cases.items()}
    good = sum(said["behavior"] in ("OK", "NON-STRICT", "INFORMATIONAL") for said in cases.values())
    print(f"{name}: {len(cases)} cases, {good} passed, {sum(said['duration'] for said in cases.values()) / 1000:.0f} s")
    return results


if __name__ == "__main__":
    main()
