"""A training from its config to its end, what it rests on (teachers, a first stage), folds and sweeps."""
