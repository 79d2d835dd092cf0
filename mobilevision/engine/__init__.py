"""What every command shares: the parts of a run built from its config, a run opened again, what is noted of it."""
