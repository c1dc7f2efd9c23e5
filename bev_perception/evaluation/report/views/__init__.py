"""What each part of the page shows, ready to be written down by its template."""
