"""Providers of satellite images."""
