"""Stand-ins for the APIs of imagery providers, small and served for real, as their documents and packages have them."""
