"""Charts as SVG inside the page: small, sharp at any size, in the colours of its style sheet."""
