"""Commands beside training: costs, plans, benchmarks, the paper's tables, check-data, cells, the demo page."""
