"""What a run came to: its results, report.html, and finished runs compared."""
