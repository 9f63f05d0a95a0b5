"""The default configuration, installed as the package `habitue.conf`."""
