"""`python -m tests.vendors [SENDER...]` asks the libraries anew and writes `tests/vectors/SENDER.json`.

Without a name it does so for all senders.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from . import vectors
from .asking import asking
from .comparison import cases
from .proofs import PROOFS


def main(names: list[str]) -> int:
    failed = 0
    for name in names or PROOFS:
        with asking(PROOFS[name]) as drivers:
            judged = [*cases(PROOFS[name], drivers)]
        unknown = [case for case in judged if not case.is_one and case.why is None]
        print(f"{name}: {sum(case.here for case in judged)} of {len(judged)} taken, {len(unknown)} differ unexplained")
        for case in unknown:
            failed = 1
            print(f"  here {case.here}, there {case.there}, {case.what}, {case.request.headers} {case.request.body!r}")
        if not unknown:
            vectors.write(PROOFS[name], judged, datetime.now(UTC).date())
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
