"""The local page on which masks of a video's frames are drawn, looked at and corrected."""
