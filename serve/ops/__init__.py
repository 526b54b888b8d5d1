"""What operators and machines look at: health, metrics, the document of the API."""
