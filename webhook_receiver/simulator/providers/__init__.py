"""Providers of images that are played beside UP42: their APIs in memory, and one simulator that drives any of them."""
