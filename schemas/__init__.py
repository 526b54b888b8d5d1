"""Every message and stored fact of Stampede, one file per noun. Imports msgspec and the standard library alone."""
