#!/usr/bin/python3
"""The CRM of the quickstart: is told about customers, credit and orders, verifies each signature and writes down what arrived when.

    crm.py --port 0 --secret whsec_… [--door http://127.0.0.1:8080/in/crm --door-secret whsec_…]

Actions: send, fail (README.md).
"""
import sys

sys.dont_write_bytecode = True

import partner


class Crm(partner.Partner):
    """The CRM of the quickstart: listens."""

    name = "crm"


if __name__ == "__main__":
    partner.run(Crm)
