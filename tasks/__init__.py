"""EP datasets in, episodes out. Knows nothing of methods; imports no other part of the suite."""
