"""What reads a cell: from a support, an id or the cell's own chromatin to an embedding and its parameters."""
