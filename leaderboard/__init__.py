"""Statistics, tables and the published leaderboard. Reads compact records only, and knows nothing of methods."""
