"""How far outputs are from targets, per head, and one sum of it all."""
