"""What property tests of prices share: the seed they tell, how much they do, policies of worlds, and the policy they leave as they found it.

SEED=n repeats a run, WORLD=n plays one world only, TIMES=n does n times as much where nothing else says how much.
"""
import os
import random
import unittest

from pricing_cases import policies
from pricing_database import SOURCE, literal, naming, psql

ONLY = os.environ.get("WORLD")


def seed(usual=None):
    """The seed of a run: the one that is asked for, else the usual one, else a new one."""
    return int(os.environ.get("SEED") or usual or random.randrange(10**9))


def count(name, usual):
    """How much is done: what the environment says by name, else TIMES as much as usual."""
    return int(os.environ.get(name) or usual * int(os.environ.get("TIMES") or 1))


def worlds(many):
    """Numbers of so many worlds, at least one; or the one that WORLD names."""
    return [int(ONLY)] if ONLY else range(max(1, many))


def register():
    """Makes the system known that all documents come from, and returns the policy that is in force."""
    out = psql(f"SELECT distsync.add_system('{SOURCE}', 'erp') WHERE NOT EXISTS (SELECT FROM sync.system WHERE code = '{SOURCE}');\n"
               "\\echo @@before\nSELECT document FROM dist.price_policy ORDER BY policy_version DESC LIMIT 1;\n")
    assert not [line for part in out.values() for line in part if "ERROR" in line], out
    return out["before"][0]


class PricesTest(unittest.TestCase):
    """seed: of the module, as it tells it in what fails."""
    maxDiff = None
    seed = None

    @classmethod
    def setUpClass(cls):
        print(f"SEED={cls.seed}", flush=True)
        cls.before, cls.names, cls.policies = register(), naming(), policies(random.Random(cls.seed))

    @classmethod
    def tearDownClass(cls):
        """Other tests find the policy that was there."""
        psql(f"SELECT distsync.publish_policy({literal(cls.before)}::jsonb);\n")

    def publish(self, policy):
        out = psql(f"SELECT distsync.publish_policy({literal(policy)}::jsonb);\n")[""]
        self.assertEqual([line for line in out if "ERROR" in line], [], policy)

    def policy_of(self, world, *more_slots):
        """Publishes the policy of a world, with more slots than it has, and returns it."""
        policy = dict(self.policies[world % len(self.policies)])
        policy["slots"] = policy["slots"] + list(more_slots)
        self.publish(policy)
        return policy
