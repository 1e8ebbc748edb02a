"""The sender's side: what UP42 would deliver, made here, for trying a receiver out and for testing it."""
