"""Order to cash decided a second time, in plain Python: accounts that count open orders when they ship soon. See ledger_model.py; written from the part "Horizon" of ../../docs/credit.md."""
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from ledger_model import Ledger


class Horizons(Ledger):
    """The ledger with horizons. An order has wanted, the day on which it is wanted (None: at once), and at_once: it was picked or shipped by command before its day, and counts since."""

    def inside_on(self, account, at=None):
        """The last day that counts in an account, None = all do."""
        return None if account.horizon_days is None else self.day(account, at) + timedelta(days=account.horizon_days)

    def ship_day(self, order):
        return None if order.wanted is None or order.at_once or order.picked or order.has_shipped() else order.wanted

    def is_later(self, account, day, at=None):
        inside = self.inside_on(account, at)
        return day is not None and inside is not None and day > inside

    def beyond(self, order, at=None):
        """Whether an order counts nothing yet in its account or in one above it."""
        return bool(order.account) and any(self.is_later(a, self.ship_day(order), at) for a in self.chain(order.account))

    def counts(self, order):
        return order.account and (order.state != "held" or order.promised_again)

    def later(self, account, at=None):
        """What of the open orders of a tree does not count yet."""
        if account.horizon_days is None:
            return Decimal(0)
        return sum((o.to_ship() for o in self.orders.values() if self.counts(o) and account in self.chain(o.account) and self.is_later(account, self.ship_day(o), at)), Decimal(0))

    def coming(self, account):
        """Open orders whose day has come inside since the horizon of an account was last looked at."""
        inside = self.inside_on(account)
        return [o for o in self.orders.values() if self.counts(o) and o.to_ship() and account in self.chain(o.account) and self.ship_day(o) and account.seen < self.ship_day(o) <= inside]

    def look(self):
        """Days that have passed without anybody coming in are done with."""
        for account in self.accounts.values():
            if account.horizon_days is not None:
                came = min((self.ship_day(o) for o in self.coming(account)), default=None)
                account.seen = max(account.seen, self.inside_on(account) if came is None else came - timedelta(days=1))

    def come_in(self):
        """What has come inside is decided again, account by account as the first of each came: where the account stands badly it waits, and what fits then goes on."""
        found = []
        for account in [a for a in self.accounts.values() if a.horizon_days is not None]:
            came = self.coming(account)
            if came:
                zone = ZoneInfo(self.companies[account.company].tz if account.company else getattr(self.parties[account.customer], "tz", None) or "UTC")
                first = min(self.ship_day(o) for o in came) - timedelta(days=account.horizon_days)
                found.append((datetime.combine(first, time(), zone), account.code))
        for _, code in sorted(found):
            account = self.accounts[code]
            came, account.seen = self.coming(account), self.inside_on(account)
            self.hold_again(came)
            self.touched = {code}
            self.settle()
