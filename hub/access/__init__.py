"""Who is there and what he may do: sign-in, sessions, roles and rights."""
