"""The roles that services need: adapters play them, and in tests doubles in memory.

A module for each consumer.
"""
