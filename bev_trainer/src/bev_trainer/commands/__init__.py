"""What the `bev-trainer` program can do, one module per command."""
