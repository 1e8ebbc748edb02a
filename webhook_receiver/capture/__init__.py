"""Capturing requests byte for byte, reading saved ones, and exporting one as a test."""
