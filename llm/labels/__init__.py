"""What models made says so in its own metadata, as GB 45438-2025 asks of sound and pictures."""
