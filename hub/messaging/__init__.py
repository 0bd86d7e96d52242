"""What both buses are made of: the wire form, endpoints with limits, streams and events."""
