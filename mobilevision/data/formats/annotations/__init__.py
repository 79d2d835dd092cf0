"""What every box format shares: collecting what was written, checking it, and making splits of it."""
