"""How a comparison of recordings is told: the page that all formats share, and each format."""
