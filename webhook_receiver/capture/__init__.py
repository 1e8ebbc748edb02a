"""Requests caught as they came, and what is made of them: files, curl commands, tests."""
