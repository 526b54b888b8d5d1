"""What goes over HTTP: request bodies, which refuse unknown fields, and answers. One file per noun."""
