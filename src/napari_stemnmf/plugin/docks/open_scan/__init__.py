"""Open scan: with its dataset or scan shape named."""
