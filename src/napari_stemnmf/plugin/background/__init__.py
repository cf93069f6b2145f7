"""Work beside the event loop: tasks in threads, live answers to the newest wish, and saving by itself."""
