"""Export: tables, label images, figures and a script, into one folder."""
