"""What runs a training and what follows one: composing, the run folder, callbacks, commands, plugins."""
