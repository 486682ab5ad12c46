"""A cluster for one benchmark run: distsync and the floor installed, fsync on, workers on."""
import os
import re
import statistics
import subprocess

CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '%(run)s'
shared_preload_libraries = 'distsync'
distsync.instance = 'bench'
fsync = on
synchronous_commit = on
shared_buffers = 4GB
max_wal_size = 8GB
checkpoint_timeout = '30min'
max_connections = 200
max_worker_processes = 16
autovacuum_naptime = '15s'
log_line_prefix = '%%m [%%p] %%b '
"""


class Cluster:
    """Makes, starts and measures a cluster below WORK."""

    def __init__(self):
        self.work = os.environ["WORK"]
        self.run = os.path.join(self.work, "run")
        self.name = self.dsn = None
        self.datasets = set()
        self.full = os.environ.get("SCALE") == "full"

    def build(self):
        """build installs distsync as it ships and the floor into the copy of PostgreSQL."""
        for command in (["make", "-s", "install"], ["make", "-s", "-C", "bench/floor", "install"]):
            self.call(command + ["PG_CONFIG=" + os.environ["PG_CONFIG"]])

    def start(self):
        """start makes the cluster."""
        data = os.path.join(self.work, "data")
        self.call(["initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"])
        with open(os.path.join(data, "postgresql.conf"), "a", encoding="utf-8") as configuration:
            configuration.write(CONFIGURATION % {"run": self.run})
        self.call(["pg_ctl", "-D", data, "-l", os.path.join(self.work, "server.log"), "-w", "start"])

    def database(self, name):
        """database makes a database for one figure, set up and with workers, and ends the one before; data sets stay."""
        self._go_to(name)
        self.call(["createdb", "-h", self.run, "-U", "postgres", name])
        self.sql("CREATE EXTENSION distsync", "SELECT distsync.setup()")

    def dataset(self, name, load):
        """dataset goes to the database of a data set; the first time it makes it and calls load()."""
        if name in self.datasets:
            self._go_to(name)
        else:
            self.database(name)
            load()
            self.datasets.add(name)

    def forget(self):
        """forget ends the database of this moment: a data set is made anew when it is asked for again."""
        self.call(["dropdb", "--force", "-h", self.run, "-U", "postgres", self.name])
        self.datasets.discard(self.name)
        self.name = self.dsn = None

    def _go_to(self, name):
        if self.dsn and self.name not in self.datasets:
            self.forget()
        self.name, self.dsn = name, "host=%s dbname=%s user=postgres" % (self.run, name)

    def sql(self, *statements):
        """sql runs statements, each in a transaction of its own, and returns what the last one printed."""
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.dsn]
        for statement in statements:
            command += ["-c", statement]
        return self.call(command).strip().split("\n")[-1]

    def script(self, path, **variables):
        """script runs a file of SQL with psql variables."""
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.dsn, "-f", path]
        for name, value in variables.items():
            command += ["-v", "%s=%s" % (name, value)]
        return self.call(command)

    def pgbench(self, script, clients=1, seconds=5, threads=2, warm=0):
        """pgbench runs a script over the protocol, prepared, and returns transactions a second, after `warm` seconds that do not count."""
        path = os.path.join(self.work, "out", "script.sql")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        printed = self.call(["pgbench", "-n", "-M", "prepared", "-f", path, "-c", str(clients), "-j", str(min(threads, clients)), "-T", str(warm + seconds), *(["-P", "1"] if warm else []), self.dsn])
        failed = re.search(r"number of failed transactions: (\d+)", printed)
        if failed and failed.group(1) != "0":
            raise SystemExit("pgbench had failures:\n" + printed)
        if not warm:
            return float(re.search(r"tps = ([0-9.]+)", printed).group(1))
        told = [(float(at), float(tps)) for at, tps in re.findall(r"progress: ([0-9.]+) s, ([0-9.]+) tps", printed)]
        return statistics.mean(tps for at, tps in told if at > warm)

    def compare(self, ours, peer, clients, seconds=4, rounds=5, before=None, warm=0):
        """compare runs two scripts in turns and returns the medians of ours, of the peer, and of the ratios of neighbours.

        Each turn begins with new sessions; the first `warm` seconds of it do not count. `before` is a pair of functions called before each turn of ours and of the peer.
        """
        mine, theirs = [], []
        for _ in range(rounds):
            for script, results, prepare in ((peer, theirs, before and before[1]), (ours, mine, before and before[0])):
                if prepare:
                    prepare()
                results.append(self.pgbench(script, clients, seconds, warm=warm))
        return statistics.median(mine), statistics.median(theirs), statistics.median(a / b for a, b in zip(mine, theirs))

    @staticmethod
    def call(command):
        """call runs a program and returns what it printed; one that fails ends the run."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
        if done.returncode != 0:
            raise SystemExit("%s failed:\n%s%s" % (" ".join(command[:3]), done.stdout, done.stderr))
        return done.stdout + done.stderr if command[0] == "pgbench" else done.stdout
