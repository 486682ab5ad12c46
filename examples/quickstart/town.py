"""The town of the quickstart: a private PostgreSQL cluster and the partner programs around it."""
import http.client
import json
import os
import subprocess
import sys
import time

CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '%(run)s'
unix_socket_permissions = 0700
shared_preload_libraries = 'distsync,pg_cron'
distsync.instance = 'quickstart'
cron.database_name = 'distsync'
cron.use_background_workers = on
max_worker_processes = 24
shared_buffers = 256MB
max_wal_size = 2GB
timezone = 'UTC'
log_line_prefix = '%%m [%%p] %%b '
"""


class Town:
    """Everything that runs: started here, listed in the file pids, ended by stop.sh."""

    def __init__(self, folder):
        self.folder = folder
        self.run = os.path.join(folder, "run")
        self.data = os.path.join(folder, "data")
        self.partners = os.path.join(folder, "examples", "partners")
        self.dsn = "host=%s dbname=distsync user=postgres" % self.run
        self.ports = {}

    def start_cluster(self):
        """start_cluster makes and starts the cluster and its database."""
        os.makedirs(self.run, mode=0o700, exist_ok=True)
        self._call("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as configuration:
            configuration.write(CONFIGURATION % {"run": self.run})
        self._call("pg_ctl", "-D", self.data, "-l", os.path.join(self.folder, "server.log"), "-w", "start")
        self._call("createdb", "-h", self.run, "-U", "postgres", "distsync")

    def restart_cluster(self):
        """restart_cluster stops the server, whatever is under way, and starts it again."""
        self._call("pg_ctl", "-D", self.data, "-l", os.path.join(self.folder, "server.log"), "-m", "fast", "-w", "restart")

    def start_partner(self, name, *arguments):
        """start_partner starts a partner program on a port of its choice and waits until it listens."""
        with open(os.path.join(self.folder, name + ".err"), "wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-B", os.path.join(self.partners, name + ".py"), "--port", "0", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
        line = process.stdout.readline()
        if not line:
            with open(os.path.join(self.folder, name + ".err"), encoding="utf-8") as errors:
                raise SystemExit("%s did not start: %s" % (name, errors.read().strip()))
        with open(os.path.join(self.folder, "pids"), "a", encoding="utf-8") as pids:
            pids.write("%d\n" % process.pid)
        self.ports[name] = json.loads(line)["port"]
        return self.ports[name]

    def url(self, name, path=""):
        """url is the address of a partner."""
        return "http://127.0.0.1:%d%s" % (self.ports[name], path)

    def log_file(self, name):
        """log_file is where a partner writes what happened to it."""
        return os.path.join(self.folder, name + ".log")

    def ask(self, name, method, path, document=None):
        """ask sends a request to a partner and returns its JSON answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=60)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 400:
                raise SystemExit("%s %s of %s was answered %d: %s" % (method, path, name, answer.status, text.decode()))
            return json.loads(text)
        finally:
            connection.close()

    def do(self, name, action, **fields):
        """do plays an action of a partner."""
        return self.ask(name, "POST", "/do", dict(action=action, **fields))

    def heard(self, name, since, containing, seconds=20):
        """heard waits for the first message after number `since` with all texts in it, and returns it."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            found = self.ask(name, "GET", "/log?since=%d&wait=%.3f" % (since, max(0.0, min(left, 5.0))))
            for message in found["messages"]:
                text = json.dumps(message)
                if all(part in text for part in containing):
                    return message
            since = max(since, found["next"])
            if left <= 0:
                raise SystemExit("%s was not told about %s within %d s" % (name, " ".join(containing), seconds))

    def mark(self, name):
        """mark is the number of the last message a partner got so far."""
        return self.ask(name, "GET", "/log?since=0")["next"]

    def _call(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
        if done.returncode != 0:
            raise SystemExit("%s failed:\n%s" % (command[0], done.stdout))
