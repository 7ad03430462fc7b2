"""What people look at: reports, overlays, overviews, and the challenge's submission."""
