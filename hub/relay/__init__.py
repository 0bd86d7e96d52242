"""The relay: device → JetStream → destinations, without losing a line that was acknowledged.

`intake` takes batches from MQTT and acknowledges them once `publisher` has them synced in a
JetStream stream; `marks` knows how far each device's stream is durable. `delivery` reads one
durable consumer per integration and hands batches to its destination. `service` ties it together.
"""
