"""Who gets what answer at which address: one table, and a walk through everything the resolver knows."""
