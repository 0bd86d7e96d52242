"""What `isaax up --demo` adds to a hub: a device with an app, and a receiver for its lines."""
