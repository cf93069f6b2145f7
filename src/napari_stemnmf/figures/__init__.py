"""The pictures that a paper or a report needs."""
