"""Web pages for the staff: made on the server, in both languages, without a script and without anything from elsewhere."""
