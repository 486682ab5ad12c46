"""As much of libpq as the door needs, through ctypes: one prepared statement with bound parameters on a kept connection.

libpq comes with the PostgreSQL client; no other package is needed. ctypes releases the interpreter lock during calls, so
several connections work side by side.
"""
import ctypes

CONNECTION_OK = 0
TUPLES_OK = 2
COMMAND_OK = 1
SQLSTATE = ord("C")
PRIMARY = ord("M")


def _load():
    lib = ctypes.CDLL("libpq.so.5")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("PQconnectdb", pointer, [text]), ("PQstatus", number, [pointer]), ("PQfinish", None, [pointer]),
            ("PQerrorMessage", text, [pointer]), ("PQexec", pointer, [pointer, text]),
            ("PQprepare", pointer, [pointer, text, text, number, pointer]),
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


class Statement:
    """A statement on a connection of its own, connected and prepared when first needed, again after a loss."""

    lib = None

    def __init__(self, dsn, sql, settings=()):
        if Statement.lib is None:
            Statement.lib = _load()
        self.dsn, self.sql, self.settings = dsn, sql, settings
        self.connection = None

    def execute(self, parameters):
        """execute runs the statement once and returns its rows as dictionaries of text.

        A parameter is a str (text format), bytes (binary format, for bytea) or None.
        """
        if self.connection is None:
            self._connect()
        count = len(parameters)
        values, lengths, formats = (ctypes.c_char_p * count)(), (ctypes.c_int * count)(), (ctypes.c_int * count)()
        for index, parameter in enumerate(parameters):
            if isinstance(parameter, str):
                values[index] = parameter.encode("utf-8")
            elif parameter is not None:
                # bytes may contain zeros: the length is given, the pointer is to the object's own memory
                values[index], lengths[index], formats[index] = parameter, len(parameter), 1
        return self._rows(self.lib.PQexecPrepared(self.connection, b"s", count, values, lengths, formats, 0))

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
        try:
            self._rows(self.lib.PQprepare(self.connection, b"s", self.sql.encode("utf-8"), 0, None))
        except DatabaseError:
            self.close()  # a later try prepares again: the function may be there by then
            raise

    def _lost(self):
        message = (self.lib.PQerrorMessage(self.connection) or b"").decode("utf-8", "replace").strip()
        self.close()
        raise DatabaseError(None, message or "connection lost")

    def _rows(self, result):
        try:
            status = self.lib.PQresultStatus(result)
            if status not in (TUPLES_OK, COMMAND_OK):
                sqlstate = self.lib.PQresultErrorField(result, SQLSTATE)
                message = self.lib.PQresultErrorField(result, PRIMARY)
                if self.lib.PQstatus(self.connection) != CONNECTION_OK:
                    self._lost()
                raise DatabaseError(sqlstate.decode("ascii") if sqlstate else "XX000", (message or b"").decode("utf-8", "replace"))
            names = [self.lib.PQfname(result, field).decode("utf-8") for field in range(self.lib.PQnfields(result))]
            return [{name: None if self.lib.PQgetisnull(result, row, field)
                     else self.lib.PQgetvalue(result, row, field).decode("utf-8") for field, name in enumerate(names)}
                    for row in range(self.lib.PQntuples(result))]
        finally:
            self.lib.PQclear(result)
