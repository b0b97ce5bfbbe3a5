"""Sessions that travel: bundles of our own, and the formats of other tools."""
