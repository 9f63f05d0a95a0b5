"""Habitué: finds a shop's loyal customers, and the people who can become loyal."""

__version__ = "0.1.0"
