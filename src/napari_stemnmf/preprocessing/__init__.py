"""What comes before all else: the survey of a scan, crop, dark reference, hot pixels, binning, beam stop."""
