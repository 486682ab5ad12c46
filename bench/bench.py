"""bench.py [FIGURE]...: measures figures and prints one JSON line each.

Names, meanings and targets are in README.md. Every figure is measured against a peer or floor in the same run, in turns.
"""
import json
import sys

import capture
import credit
import latency
import order
import price
import stock
from cluster import Cluster

# figures on a database of their own
OWN = {
    "capture_cost": capture.capture_cost,
    "deliver_latency_p99_ms": latency.deliver_latency,
    "release_latency_p99_ms": latency.release_latency,
}
# the others share data sets, which are loaded once a run
FIGURES = {**OWN, **credit.FIGURES, **stock.FIGURES, **order.FIGURES, **price.FIGURES}


def report(figure, value, unit, peer=None, peer_value=None, ratio=None):
    """report prints a figure as check_figures reads it."""
    print(json.dumps({"figure": figure, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio}), flush=True)


def main(wanted):
    """main measures the wanted figures, or all."""
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        raise SystemExit("unknown figure %s; there are %s" % (", ".join(unknown), ", ".join(FIGURES)))
    cluster = Cluster()
    cluster.build()
    cluster.start()
    for name in wanted or FIGURES:
        if name in OWN:
            cluster.database(name)
        FIGURES[name](cluster, lambda *values, figure=name, **more: report(figure, *values, **more))


if __name__ == "__main__":
    main(sys.argv[1:])
