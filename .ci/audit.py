"""Ask the advisory service of the Python Package Index about the versions that `constraints.txt` pins.

A known vulnerability fails; a service that cannot be reached does not, and is said.
"""

import json
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
TIMEOUT_S = 300


def verdict(output: str, error: str) -> tuple[int, str]:
    """The exit code, and what is to be said, of what pip-audit wrote to its two streams."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        if "No module named" in error:
            return 1, "pip-audit is not installed: `make check` installs it."
        last = (error.strip().splitlines() or ["pip-audit said nothing."])[-1]
        return 0, f"NOT AUDITED: the advisory service could not be asked ({last[:200]})."
    found = [(package, fault) for package in packages for fault in package.get("vulns", [])]
    if found:
        return 1, "\n".join(
            f"{package['name']} {package['version']}: {fault['id']}, fixed in"
            f" {', '.join(fault['fix_versions']) or 'no version yet'}"
            for package, fault in found
        )
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return 0, f"NOT AUDITED: the advisory service knows none of the {len(packages)} packages."
    unknown = f"; NOT AUDITED: {', '.join(skipped)}" if skipped else ""
    return 0, f"No known vulnerability in {len(packages) - len(skipped)} packages{unknown}."


def main() -> int:
    """Ask, and say what was answered."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json"]
    command += ["--no-deps", "--disable-pip", "--requirement", str(CONSTRAINTS)]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        code, said = 0, f"NOT AUDITED: no answer in {TIMEOUT_S} s."
    else:
        code, said = verdict(asked.stdout, asked.stderr)
    print(f"audit: {said}")
    return code


if __name__ == "__main__":
    sys.exit(main())
