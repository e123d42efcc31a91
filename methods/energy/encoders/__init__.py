"""What makes hidden vectors, latents and potentials of pairs; none of it sees the cell."""
