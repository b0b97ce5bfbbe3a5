"""What the engine costs and what it survives, measured: each module prints one table, the floor beside each figure."""
