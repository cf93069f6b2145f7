"""Files as such: written whole or not at all, locked, told apart, tried out before they are opened."""
