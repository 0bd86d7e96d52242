"""What the agent measures: readings by type, from psutil to the spools of their streams."""
