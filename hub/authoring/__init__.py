"""`isaax plugins`: what authors and operators do with plugins."""
