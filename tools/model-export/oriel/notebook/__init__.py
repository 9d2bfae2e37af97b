"""A bundle's analysis as the page's own views: in a notebook, and as an HTML file that opens
without a server."""
