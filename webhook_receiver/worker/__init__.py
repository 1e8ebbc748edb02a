"""The worker: it claims deliveries, runs their handlers, and settles them. The inbox decides which worker that is."""
