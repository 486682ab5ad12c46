"""As much of libpq as the door and the quickstart need, through ctypes: statements with bound parameters on kept connections,
and notifications.

libpq comes with the PostgreSQL client; no other package is needed. ctypes releases the interpreter lock during calls, so
several connections work side by side.
"""
import ctypes
import select

CONNECTION_OK = 0
TUPLES_OK = 2
COMMAND_OK = 1
SQLSTATE = ord("C")
PRIMARY = ord("M")
DETAIL = ord("D")
HINT = ord("H")


class _Notification(ctypes.Structure):
    """libpq's PGnotify: channel, process id, payload."""

    _fields_ = [("channel", ctypes.c_char_p), ("pid", ctypes.c_int), ("payload", ctypes.c_char_p)]


def _load():
    lib = ctypes.CDLL("libpq.so.5")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("PQconnectdb", pointer, [text]), ("PQstatus", number, [pointer]), ("PQfinish", None, [pointer]),
            ("PQerrorMessage", text, [pointer]), ("PQexec", pointer, [pointer, text]),
            ("PQprepare", pointer, [pointer, text, text, number, pointer]),
            ("PQexecParams", pointer, [pointer, text, number, pointer, ctypes.POINTER(text), ctypes.POINTER(number),
                                       ctypes.POINTER(number), number]),
            ("PQsocket", number, [pointer]), ("PQconsumeInput", number, [pointer]),
            ("PQnotifies", ctypes.POINTER(_Notification), [pointer]), ("PQfreemem", None, [pointer]),
            ("PQexecPrepared", pointer, [pointer, text, number, ctypes.POINTER(text), ctypes.POINTER(number),
                                         ctypes.POINTER(number), number]),
            ("PQresultStatus", number, [pointer]), ("PQresultErrorField", text, [pointer, number]), ("PQclear", None, [pointer]),
            ("PQntuples", number, [pointer]), ("PQnfields", number, [pointer]), ("PQfname", text, [pointer, number]),
            ("PQgetisnull", number, [pointer, number, number]), ("PQgetvalue", text, [pointer, number, number])):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class DatabaseError(Exception):
    """An error of the server, with its SQLSTATE; without one the connection itself is gone."""

    def __init__(self, sqlstate, message):
        super().__init__(message)
        self.sqlstate = sqlstate


class Connection:
    """A connection that is made when first needed."""

    lib = None

    def __init__(self, dsn, settings=()):
        if Connection.lib is None:
            Connection.lib = _load()
        self.dsn, self.settings = dsn, settings
        self.connection = None

    def close(self):
        """close ends the connection."""
        if self.connection is not None:
            self.lib.PQfinish(self.connection)
            self.connection = None

    def _connect(self):
        self.connection = self.lib.PQconnectdb(self.dsn.encode("utf-8"))
        if self.lib.PQstatus(self.connection) != CONNECTION_OK:
            self._lost()
        for setting in self.settings:
            self._rows(self.lib.PQexec(self.connection, setting.encode("utf-8")))

    def _lost(self):
        message = (self.lib.PQerrorMessage(self.connection) or b"").decode("utf-8", "replace").strip()
        self.close()
        raise DatabaseError(None, message or "connection lost")

    def _rows(self, result):
        try:
            status = self.lib.PQresultStatus(result)
            if status not in (TUPLES_OK, COMMAND_OK):
                sqlstate = self.lib.PQresultErrorField(result, SQLSTATE)
                parts = [self.lib.PQresultErrorField(result, field) for field in (PRIMARY, DETAIL, HINT)]
                message = b" | ".join(part for part in parts if part)
                # an error without SQLSTATE is libpq's own: a write that failed, while PQstatus may still say that all is well
                if not sqlstate or self.lib.PQstatus(self.connection) != CONNECTION_OK:
                    self._lost()
                raise DatabaseError(sqlstate.decode("ascii"), message.decode("utf-8", "replace"))
            names = [self.lib.PQfname(result, field).decode("utf-8") for field in range(self.lib.PQnfields(result))]
            return [{name: None if self.lib.PQgetisnull(result, row, field)
                     else self.lib.PQgetvalue(result, row, field).decode("utf-8") for field, name in enumerate(names)}
                    for row in range(self.lib.PQntuples(result))]
        finally:
            self.lib.PQclear(result)


def _bind(parameters):
    """_bind makes libpq's arrays of values, lengths and formats: a str is text, bytes are binary, None is NULL."""
    count = len(parameters)
    values, lengths, formats = (ctypes.c_char_p * count)(), (ctypes.c_int * count)(), (ctypes.c_int * count)()
    for index, parameter in enumerate(parameters):
        if isinstance(parameter, str):
            values[index] = parameter.encode("utf-8")
        elif parameter is not None:
            # bytes may contain zeros: the length is given, the pointer is to the object's own memory
            values[index], lengths[index], formats[index] = parameter, len(parameter), 1
    return count, values, lengths, formats


class Session(Connection):
    """A connection for any statement, and for LISTEN."""

    def run(self, sql, *parameters):
        """run executes one statement with $1, $2 ... bound and returns its rows as dictionaries of text."""
        if self.connection is None:
            self._connect()
        count, values, lengths, formats = _bind(parameters)
        return self._rows(self.lib.PQexecParams(self.connection, sql.encode("utf-8"), count, None, values, lengths, formats, 0))

    def notifications(self, seconds):
        """notifications waits at most so long for the next notifications and returns them as (channel, payload)."""
        if self.connection is None:
            self._connect()
        select.select([self.lib.PQsocket(self.connection)], [], [], seconds)
        if not self.lib.PQconsumeInput(self.connection):
            self._lost()
        found = []
        while True:
            notification = self.lib.PQnotifies(self.connection)
            if not notification:
                return found
            found.append((notification.contents.channel.decode("utf-8"), notification.contents.payload.decode("utf-8")))
            self.lib.PQfreemem(notification)


class Statement(Connection):
    """A statement on a connection of its own, connected and prepared when first needed, again after a loss."""

    def __init__(self, dsn, sql, settings=()):
        super().__init__(dsn, settings)
        self.sql = sql

    def execute(self, parameters):
        """execute runs the statement once and returns its rows as dictionaries of text.

        A parameter is a str (text format), bytes (binary format, for bytea) or None.
        """
        if self.connection is None:
            self._connect()
        count, values, lengths, formats = _bind(parameters)
        return self._rows(self.lib.PQexecPrepared(self.connection, b"s", count, values, lengths, formats, 0))

    def _connect(self):
        super()._connect()
        try:
            self._rows(self.lib.PQprepare(self.connection, b"s", self.sql.encode("utf-8"), 0, None))
        except DatabaseError:
            self.close()  # a later try prepares again: the function may be there by then
            raise
