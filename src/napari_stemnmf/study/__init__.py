"""The study of Bruefach, Ophus & Scott (2022), done again: its numbers, its claims, and ours beside them."""
