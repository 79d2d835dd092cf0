"""Export: a run's model as a folder that anyone can use, and the gate that it has to pass."""
