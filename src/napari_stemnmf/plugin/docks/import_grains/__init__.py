"""The dock Import grains."""
