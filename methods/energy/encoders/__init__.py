"""What makes hidden vectors, latents and potentials of pairs; nothing in here sees the cell."""
