"""Shared history: sessions of many machines in one store, so that a team with throw-away CI machines has one history."""
