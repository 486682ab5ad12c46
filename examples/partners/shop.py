#!/usr/bin/python3
"""The web shop of the quickstart: is told about prices, availability and the state of its orders, verifies each signature and writes down what arrived when.

    shop.py --port 0 --secret whsec_… [--door http://127.0.0.1:8080/in/shop --door-secret whsec_…]

Actions: send, fail (README.md).
"""
import sys

sys.dont_write_bytecode = True

import partner


class Shop(partner.Partner):
    """The web shop of the quickstart: listens."""

    name = "shop"


if __name__ == "__main__":
    partner.run(Shop)
