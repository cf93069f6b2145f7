"""What other programs read: tables, label images."""
