"""What is done before anything else: crop, dark reference, hot pixels, binning, beam stop."""
