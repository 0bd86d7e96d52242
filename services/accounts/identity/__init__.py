"""People: how they sign up, show who they are, stay logged in, and change what is known of them."""
