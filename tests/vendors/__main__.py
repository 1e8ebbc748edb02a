"""`python -m tests.vendors [SENDER...]` asks the libraries anew and writes `tests/vectors/SENDER.json`.

Without a name it does so for all senders.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from . import vectors
from .asking import asking
from .comparison import NOW, cases
from .proofs import PROOFS


def main(names: list[str]) -> int:
    failed = False
    for name in names or PROOFS:
        proof = PROOFS[name]
        with asking(proof) as drivers:
            judged = [*cases(proof, drivers)]
            unknown = [case for case in judged if not case.is_one and case.why is None]
            print(
                f"{name}: {sum(case.here for case in judged)} of {len(judged)} taken, {len(unknown)} differ unexplained"
            )
            for case in unknown:
                said = [driver.why(case.request, proof.url, NOW) for driver in drivers]
                print(f"  here {case.here}, {case.what}: {said}", case.request.headers, case.request.body)
            failed |= bool(unknown)
        if not unknown:
            vectors.write(proof, judged, datetime.now(UTC).date())
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
