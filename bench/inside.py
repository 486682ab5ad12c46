"""One session in a data set of the run, measures by its processor time, and medians of turns."""
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", "partners"))
import libpq


class Inside:
    """A data set in a database of the run, and one session in it. What makes the data set is load()."""

    def __init__(self, cluster, dataset):
        self.cluster, self.dataset = cluster, dataset
        self.go()
        self.session = libpq.Session(cluster.dsn, ("SET jit = off", "SET max_parallel_workers_per_gather = 0"))

    def load(self):
        """load makes the data set."""
        raise NotImplementedError

    def go(self):
        """go makes the data set the database of this moment."""
        self.cluster.dataset(self.dataset, self.load)
        return self

    def close(self):
        """close ends the session; the data set stays."""
        self.session.close()

    def one(self, sql, *parameters):
        """one runs a statement in the session and returns its only value, as a number."""
        return float(next(iter(self.session.run(sql, *parameters)[0].values())))


def have(cluster, figure, verb):
    """have says whether a verb is there, and where it is not that its figure is left out."""
    found = cluster.sql("SELECT to_regproc('distsync.%s') IS NOT NULL" % verb) == "t"
    if not found:
        print("%s: left out, there is no distsync.%s()" % (figure, verb), file=sys.stderr)
    return found


def in_turns(rounds, *measures):
    """in_turns calls measures with the number of the round, round after round, and returns a list of results for each."""
    results = [[] for _ in measures]
    for number in range(rounds):
        for measure, found in zip(measures, results):
            found.append(measure(number))
    return results


def median_of(function, *lists):
    """median_of is the median of a function of results of the same round."""
    return statistics.median(function(*row) for row in zip(*lists))
